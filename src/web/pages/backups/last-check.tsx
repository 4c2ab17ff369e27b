/** The newest check of a repository or copy that ended, and what it found. */

import type { Operation } from '#contract/operations.ts';
import { TimeAgo } from '../../components/figures.tsx';
import { Mark } from '../../components/state-mark.tsx';
import { checks } from '../../state/backups.ts';
import { isOpen } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';

const words = backupsText.repositories;

export function LastCheck({ repositoryId }: { readonly repositoryId: string }) {
  const last = (checks.data.value ?? []).find((one) => one.objectId === repositoryId && !isOpen(one));
  if (last === undefined) return <>{checks.data.value === null ? text.unknownValue : words.never}</>;
  return (
    <a class="lines plain-link" href={`/operations/${encodeURIComponent(last.id)}`}>
      <TimeAgo iso={last.finishedAt ?? last.createdAt} />
      <span class="small">{findingOf(last)}</span>
    </a>
  );
}

function findingOf({ state, result, error }: Operation) {
  if (error?.code === 'repository_problems')
    return (
      <Mark tone="bad" shape="square">
        {error.title}
      </Mark>
    );
  if (state !== 'done') return <span class="muted">{words.notEnded}</span>;
  const report: { objects?: unknown; isComplete?: unknown } =
    typeof result === 'object' && result !== null ? result : {};
  return (
    <Mark tone="good" shape="dot">
      {words.isWell(Number(report.objects ?? 0), report.isComplete === true)}
    </Mark>
  );
}
