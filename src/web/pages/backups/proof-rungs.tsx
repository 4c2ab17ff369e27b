/** The ladder of a proof: what was seen on each rung, and when. */

import type { Proof, ProofTimings } from '#contract/verification.ts';
import { formatDuration } from '#kernel/units.ts';
import { bytesText } from '../../components/figures.tsx';
import { Badge, Glyph, type Shape, type Tone } from '../../components/state-mark.tsx';
import { backupsText } from '../../text-backups.ts';
import { type RungState, rungStates } from './rung-states.ts';

const words = backupsText.proof;

const MARKS: Readonly<Record<RungState, readonly [Tone, Shape]>> = {
  reached: ['good', 'dot'],
  failed: ['bad', 'square'],
  missed: ['unknown', 'question'],
  skipped: ['unknown', 'ring'],
  unread: ['unknown', 'ring'],
};

const seconds = (value: number): string => formatDuration(value * 1000);

/** When each rung was seen, where that was measured: seconds after the start of the test VM. */
function timeOf(rung: number, timings: ProofTimings | undefined): number | null {
  if (timings === undefined) return null;
  if (rung === 3) return timings.startedSeconds ?? timings.kernelSeconds;
  if (rung === 4) return timings.agentSeconds;
  return rung === 5 ? timings.probeSeconds : null;
}

export function ProofRungs({ proof }: { readonly proof: Proof }) {
  const { attempts, data } = proof.evidence;
  const last = attempts.at(-1);
  return (
    <>
      <ol class="rungs">
        {rungStates(proof).map((state, rung) => {
          const [tone, shape] = MARKS[state];
          const at = state === 'reached' ? timeOf(rung, last?.timings) : null;
          return (
            <li key={rung} class={`rung is-${state}`}>
              <span class="rung-number mono">{rung}</span>
              <Glyph tone={tone} shape={shape} />
              <span class="rung-name">
                {words.rungNames[rung]}
                {proof.requiredLevel === rung && <Badge tone="accent">{words.required}</Badge>}
                {rung === 1 && state === 'reached' && data.checkedBytes > 0 && (
                  <span class="muted small"> {words.data(bytesText(data.checkedBytes))}</span>
                )}
              </span>
              <span class="muted small rung-state">
                {at === null ? words.rungStates[state] : words.after(seconds(at))}
              </span>
            </li>
          );
        })}
      </ol>
      {proof.requiredLevel === null && <p class="muted small">{words.anySign}</p>}
      {data.problem !== null && <p class="tone-bad small">{data.problem}</p>}
      {attempts.length > 0 && (
        <div class="attempts">
          {attempts.map((attempt, index) => (
            <div key={index} class="attempt">
              <p class="small">
                <strong>{words.attempt(index + 1)}</strong>{' '}
                <span class="muted">{words.attemptEnd(attempt.end, seconds(attempt.seconds))}</span>
              </p>
              {attempt.detail !== null && <p class="small">{attempt.detail}</p>}
              <ul class="timings small">
                {timingsOf(attempt.timings).map(([name, value]) => (
                  <li key={name}>
                    <span class="muted">{name}</span> <span class="mono">{seconds(value)}</span>
                  </li>
                ))}
              </ul>
              <p class="muted small">{words.readFor(bytesText(attempt.readBytes))}</p>
            </div>
          ))}
        </div>
      )}
    </>
  );
}

function timingsOf(timings: ProofTimings): readonly (readonly [string, number])[] {
  const named = [
    [words.times.export, timings.exportSeconds],
    [words.times.define, timings.defineSeconds],
    [words.times.kernel, timings.kernelSeconds],
    [words.times.started, timings.startedSeconds],
    [words.times.agent, timings.agentSeconds],
    [words.times.probe, timings.probeSeconds],
  ] as const;
  return named.flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
}
