/** Is everything protected: how many VMs stand how, the newest proof, and what failed lately. */

import { useEffect } from 'preact/hooks';
import type { VmPosture } from '#contract/protection.ts';
import { formatDuration } from '#kernel/units.ts';
import { PostureMark } from '../../components/backup-marks.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Card } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { postures } from '../../state/backups.ts';
import { text } from '../../text.ts';

const words = text.backups;

const ORDER = ['unprotected', 'unknown', 'attention', 'protected'] as const;
const MOST_NAMED = 3;

export function BackupsTile() {
  useEffect(() => postures.ensure(), []);
  const known = postures.data.value;
  if (known === null) return null;
  const { vms, counts } = known;
  const bad = vms.filter(({ posture }) => posture !== 'protected');
  return (
    <Card class="wide" title={<a href="/backups">{words.tile}</a>} aside={<Proven vms={vms} />}>
      {vms.length === 0 ? (
        <p class="muted">{words.noVms}</p>
      ) : (
        <>
          <p class="state-counts">
            {ORDER.filter((posture) => counts[posture] > 0).map((posture) => (
              <a key={posture} href={`/backups?posture=${posture}`}>
                <PostureMark posture={posture}>
                  {counts[posture]} {words.postures[posture]}
                </PostureMark>
              </a>
            ))}
          </p>
          <ul class="tile-list">
            {bad.slice(0, MOST_NAMED).map(({ vmId, vmName, reasons }) => (
              <li key={vmId}>
                <a class="mono" href={`/vms/${vmId}/backups`}>
                  {vmName}
                </a>
                <p class="muted small">
                  <Prose value={reasons[0]?.text ?? ''} />
                </p>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}

/** The newest proof, and how long VMs take to come up in theirs. */
function Proven({ vms }: { readonly vms: readonly VmPosture[] }) {
  if (vms.length === 0) return null;
  const newest = vms
    .flatMap(({ provenAt }) => provenAt ?? [])
    .toSorted()
    .at(-1);
  const boots = vms.flatMap(({ bootSeconds }) => bootSeconds ?? []).toSorted((a, b) => a - b);
  const median = boots[boots.length >> 1];
  return (
    <span class="muted">
      {newest === undefined ? (
        words.noProof
      ) : (
        <>
          {words.newestProof} <TimeAgo iso={newest} />
        </>
      )}
      {median !== undefined && ` · ${words.bootMedian(formatDuration(median * 1000))}`}
    </span>
  );
}
