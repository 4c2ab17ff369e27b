/** What lies over the drawn marks: each can be pointed at, reached with the keyboard and opened. One stop of the tabulator for the whole
 *  strip; within it the arrow keys go on. */

import { useSignal } from '@preact/signals';
import { useId, useRef } from 'preact/hooks';
import { text } from '../../text.ts';
import type { GraphMark, TimeRange } from './graph-data.ts';
import { MarkGlyph } from './mark-glyphs.tsx';
import { groupMarks, type MarkGroup } from './marks.ts';

const words = text.graphs.marks;
const MOST_NAMED = 8;

const timeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

export function MarkStrip({
  marks,
  range,
  leftPx,
  widthPx,
  topPx,
  onZoom,
}: {
  readonly marks: readonly GraphMark[];
  readonly range: TimeRange;
  /** Where the time that is shown begins, how wide it is, and where its axis lies. */
  readonly leftPx: number;
  readonly widthPx: number;
  readonly topPx: number;
  onZoom(range: TimeRange): void;
}) {
  const tipId = useId();
  const strip = useRef<HTMLUListElement>(null);
  /** Named by the first mark of it, because groups change while time goes on. */
  const shownId = useSignal<string | null>(null);
  const stopId = useSignal<string | null>(null);
  const groups = groupMarks(marks, range, widthPx);
  if (groups.length === 0) return null;
  const idOf = (group: MarkGroup | undefined) => group?.marks[0]?.id ?? '';
  const shown = groups.find((group) => idOf(group) === shownId.value) ?? null;
  const stop = groups.find((group) => idOf(group) === stopId.value) ?? groups.at(-1);
  const step = (event: KeyboardEvent, at: number) => {
    if (event.key === 'Escape' && shown !== null) {
      event.stopPropagation();
      shownId.value = null;
      return;
    }
    const target = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: groups.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(groups.length - 1, target));
    strip.current?.querySelectorAll<HTMLElement>('a, button')[next]?.focus();
  };
  return (
    <div class="mark-strip" style={{ left: `${leftPx}px`, width: `${widthPx}px`, top: `${topPx}px` }}>
      <ul ref={strip} aria-label={words.strip}>
        {groups.map((group, at) => {
          const id = idOf(group);
          const [first] = group.marks;
          if (first === undefined) return null;
          const common = {
            class: 'mark-hit',
            'aria-label': group.marks.length === 1 ? lineOf(first) : words.several(group.marks.length, lineOf(first)),
            'aria-describedby': shown === group ? tipId : undefined,
            tabIndex: group === stop ? 0 : -1,
            onMouseEnter: () => {
              shownId.value = id;
            },
            onMouseLeave: () => {
              shownId.value = null;
            },
            onFocus: () => {
              shownId.value = id;
              stopId.value = id;
            },
            onBlur: () => {
              shownId.value = null;
            },
            onKeyDown: (event: KeyboardEvent) => step(event, at),
          };
          return (
            <li key={id} style={{ left: `${group.xPx}px` }}>
              {group.marks.length === 1 ? (
                <a href={first.href} {...common} />
              ) : (
                <button type="button" {...common} onClick={() => onZoom(spanOf(group, range))} />
              )}
            </li>
          );
        })}
      </ul>
      {shown !== null && <Tip id={tipId} group={shown} widthPx={widthPx} />}
    </div>
  );
}

/** All of them with a little room; never wider than what is shown, so that one comes nearer. */
function spanOf({ marks }: MarkGroup, range: TimeRange): TimeRange {
  const fromMs = Math.max(range.fromMs, Math.min(...marks.map((mark) => mark.fromMs)));
  const toMs = Math.min(range.toMs, Math.max(...marks.map((mark) => mark.toMs ?? range.toMs)));
  const room = Math.min((toMs - fromMs) * 0.1, (range.toMs - range.fromMs) * 0.1);
  return { fromMs: Math.max(range.fromMs, fromMs - room), toMs: Math.min(range.toMs, toMs + room) };
}

function Tip({ id, group, widthPx }: { readonly id: string; readonly group: MarkGroup; readonly widthPx: number }) {
  // Its own share to the left of its anchor: so it never leaves the graph.
  const share = Math.min(100, (group.xPx / widthPx) * 100);
  return (
    <div id={id} role="tooltip" class="mark-tip" style={{ left: `${share}%`, transform: `translateX(-${share}%)` }}>
      <ul>
        {group.marks.slice(0, MOST_NAMED).map((mark) => (
          <li key={mark.id}>
            <MarkGlyph kind={mark.kind} outcome={mark.outcome} />
            <span class="mark-tip-label">{mark.label}</span>
            <span class="muted mark-tip-time">{whenOf(mark)}</span>
          </li>
        ))}
      </ul>
      {group.marks.length > MOST_NAMED && <p class="muted">{words.more(group.marks.length - MOST_NAMED)}</p>}
      <p class="muted">{group.marks.length === 1 ? words.opens : words.zooms}</p>
    </div>
  );
}

const lineOf = (mark: GraphMark): string => `${words.kinds[mark.kind]}: ${mark.label}, ${whenOf(mark)}`;

/** As `26/11/2026, 10:02:00 – 10:04:10, failed`. */
function whenOf({ fromMs, toMs, kind, outcome }: GraphMark): string {
  const from = timeFormat.format(fromMs);
  const isOneDay = toMs !== null && new Date(fromMs).toDateString() === new Date(toMs).toDateString();
  const until = toMs === null ? '' : ` – ${(isOneDay ? clockFormat : timeFormat).format(toMs)}`;
  const span = toMs === fromMs ? from : `${from}${until}`;
  return kind === 'alert' ? span : `${span}, ${words.outcomes[outcome]}`;
}
