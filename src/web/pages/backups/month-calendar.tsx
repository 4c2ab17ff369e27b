/** A month of runs: what ran and how it ended, what is to run, and what proofs found. On narrow pages the days that hold something. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { BackupRound, BackupSchedule } from '#contract/protection.ts';
import type { ProofSummary } from '#contract/verification.ts';
import { roundGlyph, verdictGlyph } from '../../components/backup-marks.tsx';
import { Button, IconButton } from '../../components/button.tsx';
import { Card } from '../../components/page.tsx';
import { Glyph, Mark } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { proofs } from '../../state/backups.ts';
import { onEvent } from '../../state/live.ts';
import { showProblem } from '../../state/operations.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { boundsOf, dayKey, type Month, type MonthDay, monthText, movedBy, parseMonth, weeksOf } from './month.ts';
import { runPath } from './runs-tab.tsx';

const words = backupsText.calendar;

const monthName = new Intl.DateTimeFormat(undefined, { month: 'long', year: 'numeric' });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const timeName = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

interface Coming {
  readonly schedule: string;
  readonly at: string;
}

interface DayContent {
  readonly rounds: BackupRound[];
  readonly coming: Coming[];
  readonly proofs: ProofSummary[];
}

export function MonthCalendar({ schedules }: { readonly schedules: readonly BackupSchedule[] }) {
  const today = new Date();
  const asked = parseMonth(currentQuery.value.get('month'));
  const month = asked ?? { year: today.getFullYear(), month: today.getMonth() };
  const isNow = month.year === today.getFullYear() && month.month === today.getMonth();
  const days = useMonth(month, schedules);
  const go = (to: Month | null) => setQuery({ month: to === null ? null : monthText(to) });
  const weeks = weeksOf(month);
  const isEmpty = weeks.flat().every(({ key, isOfMonth }) => !isOfMonth || !days.has(key));
  const title = monthName.format(new Date(month.year, month.month, 1));
  return (
    <Card
      class="is-flush"
      title={title}
      aside={
        <>
          {!isNow && (
            <Button isSmall kind="quiet" onClick={() => go(null)}>
              {words.today}
            </Button>
          )}
          <IconButton icon="chevron" class="is-back" label={words.before} onClick={() => go(movedBy(month, -1))} />
          <IconButton icon="chevron" label={words.after} onClick={() => go(movedBy(month, 1))} />
        </>
      }
    >
      <table class="calendar" aria-label={title}>
        <thead>
          <tr>
            {words.weekdays.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {weeks.map((week) => (
            <tr key={week[0]?.key}>
              {week.map((day) => (
                <Day key={day.key} day={day} isToday={day.key === dayKey(today)} content={days.get(day.key)} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {isEmpty && <p class="muted calendar-empty">{words.nothing}</p>}
      <Legend />
    </Card>
  );
}

/** Legend of the shapes, and the zone in which days begin. */
function Legend() {
  return (
    <div class="calendar-legend small" role="group" aria-label={words.legend}>
      {(['done', 'failed', 'cancelled'] as const).map((state) => {
        const [tone, shape] = roundGlyph(state);
        return (
          <Mark key={state} tone={tone} shape={shape}>
            {backupsText.roundStates[state]}
          </Mark>
        );
      })}
      <Mark tone="accent" shape="ring">
        {words.coming(1)}
      </Mark>
      <span class="muted">{words.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}</span>
    </div>
  );
}

/** Rows beyond these are told as a number. */
const MOST_LINES = 4;

function Day({
  day,
  isToday,
  content,
}: {
  readonly day: MonthDay;
  readonly isToday: boolean;
  readonly content: DayContent | undefined;
}) {
  const name = dayName.format(new Date(`${day.key}T12:00:00`));
  const lines = content === undefined ? [] : linesOf(content);
  return (
    <td
      class={`${day.isOfMonth ? '' : 'is-other'} ${isToday ? 'is-today' : ''} ${lines.length === 0 ? 'is-empty' : ''}`}
      {...(isToday ? { 'aria-current': 'date' as const } : {})}
    >
      <span class="calendar-day">
        <span class="day-number" aria-hidden="true">
          {day.day}
        </span>
        <span class="day-name">{name}</span>
      </span>
      {lines.length > 0 && (
        <ul class="calendar-lines">
          {lines.slice(0, MOST_LINES)}
          {lines.length > MOST_LINES && <li class="muted small">+{lines.length - MOST_LINES}</li>}
        </ul>
      )}
    </td>
  );
}

/** Runs of one schedule on one day share a line. */
function linesOf({ rounds, coming, proofs: proven }: DayContent) {
  const ofRounds = [...Map.groupBy(rounds, ({ scheduleName }) => scheduleName)].map(([name, several]) => {
    const worst = several.find(({ state }) => state === 'failed') ?? several[0];
    if (worst === undefined) return null;
    const [tone, shape] = roundGlyph(worst.state);
    const what = several.length === 1 ? words.of(worst.counts.done, worst.counts.all) : words.times(several.length);
    return (
      <li key={`r${name}`}>
        <a
          href={runPath(worst.id)}
          title={`${name}, ${timeName.format(Date.parse(worst.beganAt))}: ${backupsText.roundStates[worst.state]}, ${what}`}
        >
          <Glyph tone={tone} shape={shape} />
          <span class="line-name">{name}</span>
          <span class="visually-hidden">{backupsText.roundStates[worst.state]}</span>
          <span class="line-more">{what}</span>
        </a>
      </li>
    );
  });
  const ofComing = [...Map.groupBy(coming, ({ schedule }) => schedule)].map(([name, several]) => (
    <li key={`c${name}`} class="is-coming">
      <Glyph tone="accent" shape="ring" />
      <span class="line-name">{name}</span>
      <span class="visually-hidden">{words.coming(several.length)}</span>
      <span class="line-more">
        {several.length === 1 ? timeName.format(Date.parse(several[0]?.at ?? '')) : words.times(several.length)}
      </span>
    </li>
  ));
  const verdicts = (['pass', 'fail', 'inconclusive'] as const)
    .map((verdict) => ({ verdict, count: proven.filter((proof) => proof.verdict === verdict).length }))
    .filter(({ count }) => count > 0);
  const ofProofs =
    verdicts.length === 0
      ? []
      : [
          <li key="p" class="calendar-proofs">
            <span class="line-name muted">{words.proofs}</span>
            {verdicts.map(({ verdict, count }) => {
              const [tone, shape] = verdictGlyph(verdict);
              return (
                <span key={verdict} class="line-more" title={text.backups.verdicts[verdict]}>
                  <Glyph tone={tone} shape={shape} />
                  <span class="visually-hidden">{text.backups.verdicts[verdict]}</span> {count}
                </span>
              );
            })}
          </li>,
        ];
  return [...ofRounds, ...ofProofs, ...ofComing].filter((line) => line !== null);
}

/** What stands in each day of the month; read again when runs go on. */
function useMonth(month: Month, schedules: readonly BackupSchedule[]): ReadonlyMap<string, DayContent> {
  const rounds = useSignal<readonly BackupRound[]>([]);
  const coming = useSignal<readonly Coming[]>([]);
  const asked = `${monthText(month)} ${schedules.map(({ id, calendar, timeZone, isEnabled }) => `${id} ${calendar} ${timeZone} ${isEnabled}`).join()}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `asked` stands for the month and the schedules
  useEffect(() => {
    proofs.ensure();
    let isStopped = false;
    let timer: number | undefined;
    const read = async () => {
      try {
        const [past, next] = await Promise.all([roundsOf(month), comingOf(month, schedules)]);
        if (isStopped) return;
        rounds.value = past;
        coming.value = next;
      } catch (error) {
        if (!isStopped) showProblem(error);
      }
    };
    void read();
    const stop = onEvent('schedule.changed', () => {
      window.clearTimeout(timer);
      timer = window.setTimeout(() => void read(), 1000);
    });
    return () => {
      isStopped = true;
      window.clearTimeout(timer);
      stop();
    };
  }, [asked]);
  const days = new Map<string, DayContent>();
  const dayOf = (iso: string): DayContent => {
    const key = dayKey(new Date(iso));
    const known = days.get(key) ?? { rounds: [], coming: [], proofs: [] };
    days.set(key, known);
    return known;
  };
  for (const round of rounds.value) dayOf(round.beganAt).rounds.push(round);
  for (const run of coming.value) dayOf(run.at).coming.push(run);
  for (const proof of proofs.data.value ?? []) dayOf(proof.finishedAt).proofs.push(proof);
  return days;
}

/** Runs come newest first, in pages. */
async function roundsOf(month: Month): Promise<readonly BackupRound[]> {
  const { from, to } = boundsOf(month);
  const found: BackupRound[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = await api('GET /backup-runs', { query: { cursor } });
    found.push(
      ...page.items.filter(
        ({ beganAt }) => Date.parse(beganAt) >= from.getTime() && Date.parse(beganAt) < to.getTime(),
      ),
    );
    const last = page.items.at(-1);
    if (page.next === null || last === undefined || Date.parse(last.beganAt) < from.getTime()) return found;
    cursor = page.next;
  }
}

async function comingOf(month: Month, schedules: readonly BackupSchedule[]): Promise<readonly Coming[]> {
  const { from, to } = boundsOf(month);
  if (to.getTime() < Date.now()) return [];
  const until = new Date(to.getTime() - 1).toISOString();
  const previews = await Promise.all(
    schedules
      .filter(({ isEnabled }) => isEnabled)
      .map(async ({ id, name }) => {
        const { runs } = await api('GET /backup-schedules/{id}/preview', { params: { id }, query: { until } });
        return runs.filter((at) => Date.parse(at) >= from.getTime()).map((at) => ({ schedule: name, at }));
      }),
  );
  return previews.flat();
}
