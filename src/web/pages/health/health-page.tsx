/** Is anything wrong now: all checks by what they are about, the worst first. */

import type { Health, HealthResult } from '#contract/health.ts';
import { HEALTH_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { Button } from '../../components/button.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { CheckMark } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { health } from '../../state/health.ts';
import { follow, openOperations } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { healthText as words } from '../../text-health.ts';
import { CheckEntry } from './check-entry.tsx';
import './health.css';

/** What needs somebody comes first. */
const ORDER: Readonly<Record<HealthResult['status'], number>> = { fail: 0, unknown: 1, warn: 2, ok: 3 };
export function HealthPage() {
  const isRunning = openOperations.value.some(({ kind }) => kind === 'health.run');
  const run = () => void follow(api('POST /health/run'), { onDone: () => void health.reload(), isQuiet: true });
  return (
    <>
      <PageHead title={text.pages.health}>
        {can('host.configure') && (
          <Button icon="reboot" isBusy={isRunning} onClick={run}>
            {words.run}
          </Button>
        )}
      </PageHead>
      <Loaded resource={health} lines={8}>
        {(found) =>
          found.results.length === 0 ? (
            <EmptyState icon="health" title={words.never}>
              {words.neverNote}
            </EmptyState>
          ) : (
            <div class="stack">
              <Summary health={found} />
              <LibvirtAway results={found.results.filter(isWaiting)} />
              {groupsOf(found.results.filter((result) => !isWaiting(result))).map(([group, results]) => (
                <Card key={group} class="is-flush" title={words.groups[group] ?? group}>
                  <ul class="problem-list health-list">
                    {results.map((result) => (
                      <CheckEntry key={result.id} result={result} />
                    ))}
                  </ul>
                </Card>
              ))}
            </div>
          )
        }
      </Loaded>
    </>
  );
}

/** It could find nothing out because libvirt does not answer. */
const isWaiting = ({ status, hint }: HealthResult): boolean =>
  status === 'unknown' && hint === HEALTH_WAITS_FOR_LIBVIRT;

/** All of these in one line: what is wrong is one thing. */
function LibvirtAway({ results }: { readonly results: readonly HealthResult[] }) {
  if (results.length === 0) return null;
  return (
    <details>
      <summary>
        <CheckMark status="unknown">
          <strong>{words.libvirtAway(results.length)}</strong>
        </CheckMark>
      </summary>
      <p class="muted">
        {words.libvirtAwayNote} <a href="#libvirt.answers">libvirt</a>
      </p>
      <ul class="problem-list health-list">
        {results.map((result) => (
          <CheckEntry key={result.id} result={result} />
        ))}
      </ul>
    </details>
  );
}

function Summary({ health: { status, results } }: { readonly health: Health }) {
  const bad = results.filter((result) => result.status !== 'ok').length;
  return (
    <p class="posture">
      <CheckMark status={status}>
        <strong>{words.summary(bad, results.length)}</strong>
      </CheckMark>
    </p>
  );
}

/** By the first part of the id; groups with the worst results first, and in each the worst first. */
function groupsOf(results: readonly HealthResult[]): readonly (readonly [string, readonly HealthResult[]])[] {
  const groups = Map.groupBy(
    results.toSorted((a, b) => ORDER[a.status] - ORDER[b.status] || a.number - b.number),
    ({ id }) => id.split('.')[0] ?? '',
  );
  return [...groups];
}
