/** Proofs in a few lines each: when, what was found, how far, how fast. */

import type { ProofSummary } from '#contract/verification.ts';
import { formatDuration } from '#kernel/units.ts';
import { VerdictMark } from '../../components/backup-marks.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Loaded } from '../../components/page.tsx';
import { proofs } from '../../state/backups.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { proofPath } from './vm-backup-actions.tsx';

const MOST = 12;

/** @param none said when there is none */
export function ProofList({
  fits,
  none,
  current = null,
}: {
  readonly fits: (proof: ProofSummary) => boolean;
  readonly none: string;
  /** The one that is shown already. */
  readonly current?: string | null;
}) {
  return (
    <Loaded resource={proofs} lines={3}>
      {(all) => {
        const shown = all.filter(fits).slice(0, MOST);
        if (shown.length === 0) return <p class="muted">{none}</p>;
        return (
          <ul class="proof-list">
            {shown.map((proof) => (
              <li key={proof.id} {...(proof.id === current ? { 'aria-current': 'true' as const } : {})}>
                <span class="muted small when">
                  <TimeAgo iso={proof.finishedAt} />
                </span>
                <a class="plain-link" href={proofPath(proof.id)}>
                  <VerdictMark verdict={proof.verdict}>
                    {text.backups.verdicts[proof.verdict]}
                    {proof.level !== null && `, ${backupsText.level(proof.level)}`}
                  </VerdictMark>
                </a>
                <span class="mono small">
                  {proof.recoverySeconds === null ? '' : formatDuration(proof.recoverySeconds * 1000)}
                </span>
                {proof.verdict !== 'pass' && <span class="muted small proof-text">{proof.text}</span>}
              </li>
            ))}
          </ul>
        );
      }}
    </Loaded>
  );
}
