/** What a schedule that is being written would do: when it would run next, and which VMs it would cover. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Answer } from '#contract/api.ts';
import type { Problem } from '#contract/common.ts';
import { ExactTime } from '../../components/figures.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api, problemOf } from '../../state/api.ts';
import { backupsText } from '../../text-backups.ts';
import type { ScheduleFields } from './schedule-draft.ts';

const words = backupsText.schedule;

const SETTLE_MS = 350;
const SHOWN_RUNS = 3;
const SHOWN_VMS = 12;

export function SchedulePreview({ fields }: { readonly fields: ScheduleFields | null }) {
  const preview = useSignal<Answer<'POST /backup-schedules/preview'> | null>(null);
  const problem = useSignal<Problem | null>(null);
  const { name: _name, ...body } = fields ?? { name: '' };
  const asked = fields === null ? null : JSON.stringify(body);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text stands for the fields
  useEffect(() => {
    if (fields === null) return;
    const { name: _unused, ...of } = fields;
    const stop = new AbortController();
    const timer = window.setTimeout(async () => {
      try {
        const made = await api('POST /backup-schedules/preview', { body: of, signal: stop.signal });
        if (stop.signal.aborted) return;
        preview.value = made;
        problem.value = null;
      } catch (error) {
        if (!stop.signal.aborted) problem.value = problemOf(error);
      }
    }, SETTLE_MS);
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  }, [asked]);
  if (fields === null) return null;
  const { runs, vms } = preview.value ?? { runs: [], vms: [] };
  return (
    <div class="plan-pane schedule-preview" aria-live="polite">
      {problem.value !== null && <ProblemBox isCompact problem={problem.value} />}
      {problem.value === null && preview.value !== null && (
        <>
          <h3>{words.preview}</h3>
          <p class="small">
            {words.covers(vms.length)}{' '}
            <span class="mono">
              {vms
                .slice(0, SHOWN_VMS)
                .map(({ name }) => name)
                .join(', ')}
            </span>{' '}
            {vms.length > SHOWN_VMS && words.andMore(vms.length - SHOWN_VMS)}
          </p>
          <p class="small">{words.nextRuns}:</p>
          <ul class="lines small mono">
            {runs.slice(0, SHOWN_RUNS).map((at) => (
              <li key={at}>
                <ExactTime iso={at} />
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}
