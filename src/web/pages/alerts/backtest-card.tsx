/** What the rule would have done with the figures of the past: the verdict, each episode in a list, and one thing's episodes on a graph. */

import { useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { Backtest } from '#contract/alerts.ts';
import { formatDuration } from '#kernel/units.ts';
import { Button } from '../../components/button.tsx';
import { percentText, TimeAgo } from '../../components/figures.tsx';
import { Choice } from '../../components/form.tsx';
import { Card } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { api } from '../../state/api.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { subjectOf } from './condition.ts';
import { ConditionGraph } from './condition-graph.tsx';
import { type RuleDraft, specOf } from './rule-draft.ts';

const words = alertsText.backtest;

const DAY_MS = 86_400_000;
const DAYS = ['1', '7', '30'] as const;
type Days = (typeof DAYS)[number];
const MOST_SHOWN = 50;

interface Result {
  readonly asked: string;
  readonly draft: RuleDraft;
  readonly days: number;
  readonly found: Backtest;
}

type Episode = Backtest['episodes'][number];

/** What of a rule decides when it fires. */
const askedOf = ({ condition, clear, keepFiring, noData, desiredOnly, project }: RuleDraft): string =>
  JSON.stringify([condition, clear, keepFiring, noData, desiredOnly, project]);

export function BacktestCard({ draft, isSound }: { readonly draft: RuleDraft; readonly isSound: boolean }) {
  const days = useSignal<Days>('7');
  const result = useSignal<Result | null>(null);
  const request = useRequest();
  const run = () =>
    request.run(async () => {
      const asked = askedOf(draft);
      const span = Number(days.value);
      const found = await api('POST /rules/backtest', {
        body: {
          rule: { ...specOf(draft), name: draft.name.trim() || 'new' },
          from: new Date(Date.now() - span * DAY_MS).toISOString(),
        },
      });
      result.value = { asked, draft, days: span, found };
    });
  const shown = result.value;
  return (
    <Card title={words.title}>
      <p class="muted small">{words.note}</p>
      <div class="backtest-ask">
        <Choice
          label={words.days}
          value={days.value}
          options={DAYS.map((value) => ({ value, label: words.dayNames[value] }))}
          onChange={(value) => (days.value = value)}
        />
        <Button
          icon="play"
          isBusy={request.isBusy.value}
          disabled={!isSound}
          title={isSound ? undefined : words.invalid}
          onClick={() => void run()}
        >
          {words.run}
        </Button>
      </div>
      {request.problem.value && <ProblemBox isCompact problem={request.problem.value} />}
      <div aria-live="polite">{shown && <Verdict result={shown} isStale={shown.asked !== askedOf(draft)} />}</div>
    </Card>
  );
}

function Verdict({ result: { draft, days, found }, isStale }: { readonly result: Result; readonly isStale: boolean }) {
  const things = useMemo(() => new Map(found.episodes.map((episode) => [thingOf(episode), episode])), [found]);
  const wanted = useSignal<string | null>(null);
  const chosen = things.get(wanted.value ?? '') ?? found.episodes[0] ?? null;
  const subject = useMemo(
    () => (chosen === null ? null : subjectOf(chosen.entity.kind, chosen.labels, null)),
    [chosen],
  );
  const range = useMemo(() => ({ fromMs: Date.parse(found.from), toMs: Date.parse(found.to) }), [found]);
  const spans = useMemo(
    () =>
      found.episodes
        .filter((episode) => chosen !== null && thingOf(episode) === thingOf(chosen))
        .map(({ firedAt, endedAt }) => ({
          fromMs: Date.parse(firedAt),
          toMs: endedAt === null ? Date.parse(found.to) : Date.parse(endedAt),
        })),
    [found, chosen],
  );
  const hasFigures = found.entities > 0;
  return (
    <div class={`backtest ${isStale ? 'is-stale' : ''}`}>
      {isStale && <p class="field-warning">{words.stale}</p>}
      <p class="backtest-verdict">{words.verdict(found.episodeCount, days)}</p>
      <p class="muted small">
        {hasFigures ? words.facts(found.notices, found.entities) : words.nothing}
        {found.maskedMinutes >= 1 && ` ${words.masked(Math.round(found.maskedMinutes))}`}
        {hasFigures && found.unknownRatio > 0.005 && ` ${words.unknown(percentText(found.unknownRatio))}`}
        {hasFigures && ` ${words.tiers[found.tier]}`}
      </p>
      {found.notes.length > 0 && (
        <ul class="backtest-notes muted small">
          {found.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      {hasFigures && (
        <ConditionGraph
          condition={draft.condition}
          clear={draft.clear.trim() || null}
          desiredOnly={draft.desiredOnly}
          subject={subject}
          range={range}
          spans={spans}
        />
      )}
      {found.episodes.length > 0 && (
        <EpisodeTable
          episodes={found.episodes.toReversed().slice(0, MOST_SHOWN)}
          shown={chosen === null ? null : thingOf(chosen)}
          onShow={(thing) => {
            wanted.value = thing;
          }}
        />
      )}
      {found.episodeCount > MOST_SHOWN && (
        <p class="muted small">{words.moreEpisodes(found.episodeCount - MOST_SHOWN)}</p>
      )}
    </div>
  );
}

const thingOf = ({ entity, labels }: Episode): string => `${entity.kind} ${entity.name} ${labels['uuid'] ?? ''}`;

function EpisodeTable({
  episodes,
  shown,
  onShow,
}: {
  readonly episodes: readonly Episode[];
  readonly shown: string | null;
  readonly onShow: (thing: string) => void;
}) {
  return (
    <StackTable
      rows={episodes}
      keyOf={(episode) => `${thingOf(episode)} ${episode.firedAt}`}
      columns={[
        {
          head: words.thing,
          kind: 'title',
          class: 'breaks',
          cell: (episode) => (
            <>
              {episode.entity.name}
              {episode.masked !== null && <span class="muted subtitle">{words.maskedBy(episode.masked)}</span>}
            </>
          ),
        },
        { head: words.fired, class: 'small', cell: (episode) => <TimeAgo iso={episode.firedAt} /> },
        {
          head: words.lasted,
          class: 'small',
          cell: ({ firedAt, endedAt }) =>
            endedAt === null ? words.still : formatDuration(Date.parse(endedAt) - Date.parse(firedAt)),
        },
        { head: words.peak, class: 'mono small', cell: (episode) => episode.peakText || text.unknownValue },
        {
          head: words.show,
          kind: 'actions',
          cell: (episode) =>
            thingOf(episode) === shown ? (
              <span class="muted small">{words.showing}</span>
            ) : (
              <Button
                isSmall
                kind="quiet"
                aria-label={words.onGraph(episode.entity.name)}
                onClick={() => onShow(thingOf(episode))}
              >
                {words.show}
              </Button>
            ),
        },
      ]}
    />
  );
}
