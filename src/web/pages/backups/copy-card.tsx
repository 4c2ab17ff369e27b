/** One copy at another place: what is there and what is not yet, what keeps it, what mends that, and when it goes on. */

import type { BackupCopy } from '#contract/backup-copies.ts';
import type { BackupRepository } from '#contract/backups.ts';
import { Button, ButtonLink } from '../../components/button.tsx';
import { rateText, TimeAgo } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { OperationItem } from '../../components/operation-item.tsx';
import { Card, Facts } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { Badge, Glyph, Mark } from '../../components/state-mark.tsx';
import { canEverywhere } from '../../state/api.ts';
import { copyRuns, copyWork, schedules } from '../../state/backups.ts';
import { isOpen } from '../../state/operations.ts';
import { copiesText } from '../../text-copies.ts';
import { copyMenu, copyNow, openCredentials, openKey, openSettings, pointsThere } from './copy-actions.tsx';
import { LastCheck } from './last-check.tsx';
import { retentionText } from './schedule-draft.ts';

const words = copiesText;

const MARKS = {
  never: ['unknown', 'ring'],
  running: ['accent', 'half'],
  current: ['good', 'dot'],
  behind: ['warn', 'triangle'],
  failed: ['bad', 'square'],
  idle: ['warn', 'triangle'],
} as const;

interface Props {
  readonly repository: BackupRepository;
  /** Null = nothing is copied there yet. */
  readonly copy: BackupCopy | null;
}

export function CopyCard({ repository, copy }: Props) {
  const { id, name, kind, isEncrypted, lockDays } = repository;
  const work = copyWork(id);
  const state = copy === null ? 'idle' : copy.state;
  const [tone, shape] = MARKS[state];
  return (
    <Card
      class="repository-card"
      title={<span class="mono">{name}</span>}
      aside={
        <>
          <Mark tone={tone} shape={shape}>
            {words.states[state]}
          </Mark>
          <Menu label={words.actionsFor(name)} entries={copyMenu(repository, copy)} />
        </>
      }
    >
      <p class="badges">
        <Badge>{words.kinds[kind]}</Badge>
        {isEncrypted && <Badge>{words.encrypted}</Badge>}
        {lockDays !== null && <Badge tone="accent">{words.locked(lockDays)}</Badge>}
        {copy !== null && !copy.isEnabled && <Badge>{words.byHand}</Badge>}
      </p>
      <div class="copy-standing" aria-live="polite">
        {copy === null ? (
          <p>{words.isIdle}</p>
        ) : (
          <>
            {work !== null && <OperationItem operation={work} />}
            {work === null && copy.problem !== null && <CopyProblem repository={repository} copy={copy} />}
            <Lag copy={copy} />
          </>
        )}
      </div>
      <Facts items={factsOf(repository, copy)} />
      <div class="row-actions card-foot">
        {copy === null
          ? canEverywhere('backup.configure') && (
              <Button kind="primary" icon="plus" onClick={() => openSettings(repository, null)}>
                {words.choose}
              </Button>
            )
          : canEverywhere('backup.run') &&
            copy.sourceId !== null && (
              <Button icon="upload" isBusy={work !== null} onClick={() => copyNow(repository)}>
                {words.run}
              </Button>
            )}
        {copy !== null && copy.points > 0 && <ButtonLink href={pointsThere(id)}>{words.showPoints}</ButtonLink>}
      </div>
    </Card>
  );
}

/** What is not there yet. */
function Lag({ copy: { points, missing, missingSince, missingStates } }: { readonly copy: BackupCopy }) {
  if (missing === 0 && missingStates === 0) return <p>{points === 1 ? words.isCurrentOne : words.isCurrent(points)}</p>;
  if (missing === 0 || missingSince === null)
    return (
      <p class="with-glyph">
        <Glyph tone="warn" shape="triangle" />
        <span>{words.missingStates(missingStates)}</span>
      </p>
    );
  return (
    <p class="with-glyph">
      <Glyph tone="warn" shape="triangle" />
      <span>
        {words.missing(missing)} {words.oldest(missing)} <TimeAgo iso={missingSince} />.
      </span>
    </p>
  );
}

/** Why the last copy failed, and the button that leads to the mend. */
function CopyProblem({ repository, copy }: { readonly repository: BackupRepository; readonly copy: BackupCopy }) {
  const failed = lastRun(repository.id)?.error ?? null;
  // A button that leads to the mend says more than the command for it.
  const hint = failed === null || WITH_BUTTON.includes(failed.code) ? null : failed.hint;
  return (
    <div class="copy-problem">
      <Glyph tone="bad" shape="square" />
      <div class="lines">
        {failed === null ? (
          // Whoever may not see operations has the sentence that was kept.
          <Prose value={copy.problem ?? ''} />
        ) : (
          <>
            <strong>{failed.title}</strong>
            {failed.detail !== failed.title && (
              <span class="small">
                <Prose value={failed.detail} />
              </span>
            )}
          </>
        )}
        {hint !== null && (
          <span class="muted small">
            <Prose value={hint} />
          </span>
        )}
        <MendButton code={failed?.code ?? ''} repository={repository} />
      </div>
    </div>
  );
}

const NEEDS_KEY = ['host_key_changed', 'host_key_unknown'];
const NEEDS_CREDENTIALS = ['place_refused', 'place_denied'];
const NEEDS_SOURCE = ['copy_incomplete', 'repository_unreachable'];
const WITH_BUTTON = [...NEEDS_KEY, ...NEEDS_CREDENTIALS];

function MendButton({ code, repository }: { readonly code: string; readonly repository: BackupRepository }) {
  const isPlaced = repository.kind === 'sftp' || repository.kind === 's3';
  if (NEEDS_KEY.includes(code) || (NEEDS_CREDENTIALS.includes(code) && isPlaced)) {
    if (!canEverywhere('backup.configure')) return null;
    return NEEDS_KEY.includes(code) ? (
      <Button isSmall icon="key" onClick={() => openKey(repository)}>
        {words.newKey}
      </Button>
    ) : (
      <Button isSmall icon="key" onClick={() => openCredentials(repository)}>
        {words.otherCredentials}
      </Button>
    );
  }
  if (NEEDS_SOURCE.includes(code))
    return (
      <a class="small" href="/backups/repositories">
        {words.lookAtSource}
      </a>
    );
  return canEverywhere('backup.run') ? (
    <Button isSmall icon="reboot" onClick={() => copyNow(repository)}>
      {words.again}
    </Button>
  ) : null;
}

const lastRun = (repositoryId: string) =>
  (copyRuns.data.value ?? []).find((run) => run.objectId === repositoryId && !isOpen(run)) ?? null;

function factsOf(repository: BackupRepository, copy: BackupCopy | null) {
  const { id, place, hostKey } = repository;
  const where = [
    ...(place === null ? [] : [[words.place, <code key="p">{place}</code>] as const]),
    ...(hostKey === null ? [] : [[words.hostKey, <code key="k">{hostKey}</code>] as const]),
  ];
  if (copy === null) return where;
  return [
    [
      words.source,
      copy.sourceName === null ? (
        <span key="s" class="tone-warn">
          {words.sourceGone}
        </span>
      ) : (
        <a key="s" class="mono" href="/backups/repositories">
          {copy.sourceName}
        </a>
      ),
    ] as const,
    ...where,
    [
      words.holds,
      <span key="h" class="lines">
        <a href={pointsThere(id)}>{words.count(copy.points)}</a>
        {copy.newestAt !== null && (
          <span class="muted small">
            {words.newest} <TimeAgo iso={copy.newestAt} />
          </span>
        )}
        {copy.newestStateAt !== null && (
          <span class="muted small">
            {words.andStates(copy.states)} <TimeAgo iso={copy.newestStateAt} />
          </span>
        )}
        {copy.lockedPoints > 0 && <span class="muted small">{words.held(copy.lockedPoints)}</span>}
      </span>,
    ] as const,
    [words.keeps, copy.retention === null ? words.keepsAll : retentionText(copy.retention)] as const,
    ...(copy.bytesPerSecond === null ? [] : [[words.limit, rateText(copy.bytesPerSecond)] as const]),
    [words.last, <LastCopy key="l" copy={copy} />] as const,
    ...(copy.state === 'running' ? [] : [[words.next, <NextCopy key="n" copy={copy} />] as const]),
    [words.checked, <LastCheck key="c" repositoryId={id} />] as const,
  ];
}

function LastCopy({ copy: { repositoryId, lastAt, succeededAt, problem } }: { readonly copy: BackupCopy }) {
  if (lastAt === null) return <>{words.never}</>;
  const run = lastRun(repositoryId);
  const when = <TimeAgo iso={lastAt} />;
  return (
    <span class="lines">
      {run === null ? when : <a href={`/operations/${encodeURIComponent(run.id)}`}>{when}</a>}
      {problem !== null && (
        <span class="muted small">
          {words.lastGood} {succeededAt === null ? words.never : <TimeAgo iso={succeededAt} />}
        </span>
      )}
    </span>
  );
}

/** When it goes on by itself, and of one that waits for a backup when that is. */
function NextCopy({ copy }: { readonly copy: BackupCopy }) {
  if (!copy.isEnabled) return <>{words.byHand}</>;
  if (copy.nextAt !== null)
    return (
      <>
        {copy.problem === null ? words.nextNow : words.nextAgain}{' '}
        {copy.problem !== null && <TimeAgo iso={copy.nextAt} />}
      </>
    );
  const [soonest] = (schedules.data.value ?? [])
    .filter(({ repository, nextAt }) => nextAt !== null && (repository === copy.sourceId || repository === null))
    .map(({ nextAt }) => nextAt ?? '')
    .sort();
  return (
    <>
      {words.nextAfter}
      {soonest !== undefined && (
        <span class="muted">
          , <TimeAgo iso={soonest} />
        </span>
      )}
    </>
  );
}
