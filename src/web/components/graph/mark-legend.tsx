/** Which kinds of marks there are in what is shown, and which of them are hidden. Stands in the address as `hide=backup,proof`, so that a
 *  link shows the same. */

import { computed } from '@preact/signals';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { type GraphMark, MARK_KINDS, type MarkKind, type TimeRange } from './graph-data.ts';
import { MarkGlyph } from './mark-glyphs.tsx';
import { isIn } from './marks.ts';

const words = text.graphs.marks;

export const hiddenKinds = computed((): ReadonlySet<MarkKind> => {
  const asked = (currentQuery.value.get('hide') ?? '').split(',');
  return new Set(MARK_KINDS.filter((kind) => asked.includes(kind)));
});

function toggle(kind: MarkKind): void {
  const hidden = hiddenKinds.peek();
  const after = MARK_KINDS.filter((each) => (each === kind) !== hidden.has(each));
  setQuery({ hide: after.length === 0 ? null : after.join(',') });
}

export function MarkLegend({ marks, range }: { readonly marks: readonly GraphMark[]; readonly range: TimeRange }) {
  const hidden = hiddenKinds.value;
  const counts = new Map<MarkKind, number>();
  for (const mark of marks) if (isIn(mark, range)) counts.set(mark.kind, (counts.get(mark.kind) ?? 0) + 1);
  const offered = MARK_KINDS.filter((kind) => counts.has(kind) || hidden.has(kind));
  if (offered.length === 0) return null;
  return (
    <span class="chips mark-legend" role="group" aria-label={words.legend}>
      {offered.map((kind) => (
        <button type="button" key={kind} class="chip" aria-pressed={!hidden.has(kind)} onClick={() => toggle(kind)}>
          <MarkGlyph kind={kind} /> {words.kinds[kind]} <span class="chip-count">{counts.get(kind) ?? 0}</span>
        </button>
      ))}
    </span>
  );
}
