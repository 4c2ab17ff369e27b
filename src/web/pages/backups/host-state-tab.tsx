/** The state of this host in its repositories: since when, what opens it, and how a new machine becomes this one. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { StateBackups } from '#contract/state-backups.ts';
import { Button, ButtonLink } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { ExactTime, TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, Glyph, Mark } from '../../components/state-mark.tsx';
import { TextField } from '../../components/text-field.tsx';
import { api, canEverywhere, fieldProblem } from '../../state/api.ts';
import { openBackupWork, repositories, stateBackups } from '../../state/backups.ts';
import { now } from '../../state/clock.ts';
import { follow, showProblem } from '../../state/operations.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { hostStateText } from '../../text-copies.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { WorkCard } from './work-card.tsx';

const words = hostStateText;

type InRepository = StateBackups['repositories'][number];

const rowOf = (id: string) => repositories.data.value?.find((one) => one.id === id) ?? null;

/** It is made once a day; a repository that misses two of them needs somebody. */
const OLD_MS = 2 * 86_400_000;

export function HostStateTab() {
  useEffect(() => repositories.ensure(), []);
  return (
    <Loaded resource={stateBackups} lines={6}>
      {(listed) => {
        // Copies get what their repositories have.
        const found = { ...listed, repositories: listed.repositories.filter(({ id }) => !rowOf(id)?.isCopy) };
        return found.repositories.length === 0 ? (
          <EmptyState
            icon="host"
            title={words.none}
            action={
              <ButtonLink kind="primary" icon="plus" href="/backups/repositories?add">
                {words.addRepository}
              </ButtonLink>
            }
          >
            {words.noneNote}
          </EmptyState>
        ) : (
          <Shown found={found} />
        );
      }}
    </Loaded>
  );
}

function Shown({ found }: { readonly found: StateBackups }) {
  const work = openBackupWork.value.filter(({ kind }) => kind === 'system.backup');
  return (
    <div class="stack">
      {work.length > 0 && <WorkCard title={words.title} work={work} />}
      <StatesCard found={found} isBusy={work.length > 0} />
      <div class="host-columns">
        <KeyCard found={found} />
        <RestoreCard found={found} />
      </div>
    </div>
  );
}

const isFresh = ({ lastAt, problem }: InRepository): boolean =>
  problem === null && lastAt !== null && now.value - Date.parse(lastAt) < OLD_MS;

const SHAPES = { good: 'dot', warn: 'triangle', bad: 'square' } as const;

function StatesCard({ found, isBusy }: { readonly found: StateBackups; readonly isBusy: boolean }) {
  const all = found.repositories;
  const lacking = all.filter((one) => !isFresh(one)).length;
  const isOnlyHere = all.every(({ id }) => rowOf(id)?.isDefault);
  const tone = lacking === all.length ? 'bad' : lacking > 0 || isOnlyHere ? 'warn' : 'good';
  return (
    <Card
      title={words.title}
      aside={
        <>
          <Mark tone={tone} shape={SHAPES[tone]}>
            {lacking > 0 ? words.old(lacking, all.length) : isOnlyHere ? words.onlyHere : words.fine}
          </Mark>
          <Button icon="download" isBusy={isBusy} onClick={() => backUp()}>
            {words.run}
          </Button>
        </>
      }
    >
      <p class="muted card-lead">{words.lead}</p>
      <StackTable
        rows={all}
        keyOf={({ id }) => id}
        columns={[
          {
            head: words.repository,
            kind: 'title',
            class: 'breaks',
            cell: ({ id, name }) => (
              <span class="with-badges">
                <span class="mono">{name}</span>
                {rowOf(id)?.isDefault && (
                  <Badge tone="warn" title={words.onThisDiskHint}>
                    {words.onThisDisk}
                  </Badge>
                )}
              </span>
            ),
          },
          {
            head: words.last,
            cell: (one) => (
              <span class="lines">
                <span class="with-glyph">
                  <Glyph tone={isFresh(one) ? 'good' : 'warn'} shape={isFresh(one) ? 'dot' : 'triangle'} />
                  {one.lastAt === null ? words.never : <TimeAgo iso={one.lastAt} />}
                </span>
                {one.problem !== null && (
                  <span class="tone-bad small">
                    <Prose value={one.problem} />
                  </span>
                )}
              </span>
            ),
          },
          {
            head: words.protection,
            class: 'small',
            cell: ({ isEncrypted }) =>
              isEncrypted ? words.sealed : found.recoveryKey === 'ready' ? words.sealedByKey : words.leftOut,
          },
          { head: words.count, isSelfEvident: true, class: 'small', cell: (one) => <Points of={one} /> },
        ]}
      />
    </Card>
  );
}

function backUp(): void {
  void follow(api('POST /system/state-backups', { body: {} }));
}

function Points({ of: { name, points } }: { readonly of: InRepository }) {
  if (points.length === 0) return null;
  return (
    <details class="more">
      <summary>{words.show(points.length)}</summary>
      <ul class="state-points" aria-label={words.states(name)}>
        {points.map(({ id, host, madeAt, isOwn, problem }) => (
          <li key={id} class="lines">
            <span class="with-badges">
              <ExactTime iso={madeAt} />
              {!isOwn && <Badge title={words.other}>{host}</Badge>}
              {problem !== null && (
                <Badge tone="bad" title={problem}>
                  {words.damaged}
                </Badge>
              )}
            </span>
            <span class="with-copy">
              <code>{id}</code>
              <CopyButton value={id} />
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Command({ value }: { readonly value: string }) {
  return (
    <p class="command with-copy">
      <code>{value}</code>
      <CopyButton value={value} />
    </p>
  );
}

function KeyCard({ found: { recoveryKey, repositories: all } }: { readonly found: StateBackups }) {
  const { key } = words;
  const isNeeded = all.some(({ isEncrypted }) => !isEncrypted);
  const isReady = recoveryKey === 'ready';
  const may = canEverywhere('settings.change');
  return (
    <Card
      title={key.title}
      class={isNeeded && !isReady ? 'is-warning' : ''}
      aside={
        isReady ? (
          <Mark tone="good" shape="dot">
            {key.ready}
          </Mark>
        ) : (
          <Mark tone={isNeeded ? 'warn' : 'unknown'} shape={isNeeded ? 'triangle' : 'ring'}>
            {recoveryKey === 'none' ? key.none : key.unconfirmed}
          </Mark>
        )
      }
    >
      <div class="stack">
        <p>{isReady ? key.readyNote : isNeeded ? key.noneNote : key.unneeded}</p>
        {isNeeded && !isReady && may && (
          <div class="row-actions">
            {recoveryKey === 'unconfirmed' && (
              <Button kind="primary" icon="key" onClick={() => askForKey(null)}>
                {key.confirmOpen}
              </Button>
            )}
            <Button
              {...(recoveryKey === 'none' ? { kind: 'primary' as const } : {})}
              icon="key"
              onClick={() => void makeKey()}
            >
              {recoveryKey === 'none' ? key.make : key.makeAnother}
            </Button>
          </div>
        )}
        {isNeeded && !isReady && (
          <div class="lines">
            <p class="muted small">{key.onMachine}</p>
            <Command value={recoveryKey === 'none' ? key.command : key.confirmCommand} />
          </div>
        )}
      </div>
    </Card>
  );
}

async function makeKey(): Promise<void> {
  try {
    const { recoveryKey } = await api('POST /system/recovery-key');
    await stateBackups.reload();
    askForKey(recoveryKey);
  } catch (error) {
    showProblem(error);
  }
}

/** @param made shown this once; null = whoever is asked has it on paper */
function askForKey(made: string | null): void {
  backupDialog.value = <KeyDialog made={made} onClose={closeBackupDialog} />;
}

function KeyDialog({ made, onClose }: { readonly made: string | null; readonly onClose: () => void }) {
  const { key } = words;
  const typed = useSignal('');
  const request = useRequest();
  const confirm = async () => {
    await api('POST /system/recovery-key/confirm', { body: { recoveryKey: typed.value.trim() } });
    await stateBackups.reload();
    showToast({ kind: 'good', title: key.confirmed, detail: key.confirmedNote });
  };
  return (
    <SaveDialog
      title={made === null ? key.confirmTitle : key.dialogTitle}
      action={key.confirm}
      request={request}
      isReady={() => typed.value.trim() !== ''}
      onSave={confirm}
      onClose={onClose}
      lead={
        made === null ? (
          <p class="muted">{key.confirmNote}</p>
        ) : (
          <>
            <p>{key.dialogNote}</p>
            <p class="recovery-key with-copy">
              <code>{made}</code>
              <CopyButton value={made} />
            </p>
          </>
        )
      }
    >
      <TextField
        label={key.typeBack}
        problem={fieldProblem(request.problem.value, 'recoveryKey')}
        isCode
        maxLength={200}
        value={typed}
      />
    </SaveDialog>
  );
}

/** The commands for the day on which this page is not there. */
function RestoreCard({ found }: { readonly found: StateBackups }) {
  const { restore } = words;
  const folders = found.repositories.flatMap(({ id, name, isEncrypted }) => {
    const row = rowOf(id);
    return row === null || row.folder === null || row.isDefault ? [] : [{ name, isEncrypted, folder: row.folder }];
  });
  const chosen = useSignal('');
  const from = folders.find(({ name }) => name === chosen.value) ?? folders[0];
  const key = from?.isEncrypted ? restore.ownKey(from.name) : found.recoveryKey === 'ready' ? restore.hostKey : null;
  const command = `hv system restore ${quoted(from?.folder ?? restore.folder)}${key === null ? '' : ' --key-file recovery-key.txt'}`;
  return (
    <Card title={restore.title}>
      <div class="stack">
        <p class="muted">{restore.lead}</p>
        {folders.length > 1 && (
          <label class="restore-from">
            <span>{restore.from}</span>
            <select value={from?.name ?? ''} onChange={(event) => (chosen.value = event.currentTarget.value)}>
              {folders.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <ol class="restore-steps">
          <li>
            <p>{restore.plan(key)}</p>
            <Command value={`${command} --plan`} />
          </li>
          <li>
            <p>{restore.bring}</p>
            <Command value={command} />
          </li>
          <li>
            <p>{restore.vms}</p>
            <Command value="hv system link" />
            <Command value="hv backup restore NAME --as NAME" />
          </li>
        </ol>
        {found.lastRestore !== null && (
          <p class="muted small">
            {restore.last} <TimeAgo iso={found.lastRestore.at} />, {restore.lastOf(found.lastRestore.host)}
          </p>
        )}
      </div>
    </Card>
  );
}

/** As one word of a shell. */
const quoted = (path: string): string =>
  /^[A-Za-z0-9_./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
