/** How long proofs of a VM took until it ran: a bar for each, good ones beside those that did not get so far. */

import type { ProofSummary } from '#contract/verification.ts';
import { formatDuration } from '#kernel/units.ts';
import { verdictGlyph } from '../../components/backup-marks.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { proofs } from '../../state/backups.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { momentText } from './moment.ts';
import { proofPath } from './vm-backup-actions.tsx';

const words = backupsText.proof;

const MOST_BARS = 24;

export function medianOf(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle];
  if (high === undefined) return null;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

export function BootTrend({
  vmId,
  vmName,
  current = null,
}: {
  readonly vmId: string;
  readonly vmName: string;
  /** The proof that is shown on the page. */
  readonly current?: string | null;
}) {
  const shown = (proofs.data.value ?? [])
    .filter((proof) => proof.vmId === vmId)
    .slice(0, MOST_BARS)
    .toReversed();
  const good = shown.flatMap(({ verdict, recoverySeconds }) =>
    verdict === 'pass' && recoverySeconds !== null ? [recoverySeconds] : [],
  );
  const median = medianOf(good);
  if (median === null) return <p class="muted">{text.backups.noProof}</p>;
  const top = Math.max(...good) * 1.1;
  return (
    <div class="trend">
      <ol class="trend-bars" aria-label={words.trendLabel(vmName)}>
        {shown.map((proof) => (
          <Bar key={proof.id} proof={proof} top={top} isCurrent={proof.id === current} />
        ))}
      </ol>
      <p class="muted small">
        {good.length < 2 ? words.trendNone : words.trendNote(good.length, formatDuration(median * 1000))}
      </p>
    </div>
  );
}

function Bar({
  proof,
  top,
  isCurrent,
}: {
  readonly proof: ProofSummary;
  readonly top: number;
  readonly isCurrent: boolean;
}) {
  const took = proof.verdict === 'pass' ? proof.recoverySeconds : null;
  const said = took === null ? text.backups.verdicts[proof.verdict] : formatDuration(took * 1000);
  const [tone, shape] = verdictGlyph(proof.verdict);
  return (
    <li class={isCurrent ? 'is-current' : ''}>
      <a href={proofPath(proof.id)} title={`${momentText(proof.finishedAt)}: ${said}`}>
        <span class="visually-hidden">
          {momentText(proof.finishedAt)}: {said}
        </span>
        {took === null ? (
          <Glyph tone={tone} shape={shape} />
        ) : (
          <span class="trend-bar" style={{ height: `${Math.max(4, (took / top) * 100)}%` }} />
        )}
      </a>
    </li>
  );
}
