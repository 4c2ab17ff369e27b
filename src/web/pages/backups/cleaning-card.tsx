/** What the next cleaning would remove, and why everything else stays: the same function decides when it really cleans. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { PruneDecision } from '#contract/protection.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Check, Field } from '../../components/form.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, Glyph } from '../../components/state-mark.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { homes, repositories, retention } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { momentText } from './moment.ts';
import { pointPath } from './vm-backup-actions.tsx';

const words = backupsText.cleaning;

const MOST_ROWS = 200;

export function CleaningCard() {
  useEffect(() => repositories.ensure(), []);
  return (
    <Card
      title={words.title}
      aside={
        canEverywhere('backup.delete') &&
        homes.value.length > 0 && (
          <Button
            isSmall
            icon="trash"
            onClick={() => {
              backupDialog.value = <CleanDialog onClose={closeBackupDialog} />;
            }}
          >
            {words.run}
          </Button>
        )
      }
    >
      <Loaded resource={retention} lines={2}>
        {({ items, kept, going, waits }) => (
          <>
            <p>{items.length === 0 ? <span class="muted">{words.none}</span> : words.keeps(kept, going)}</p>
            {waits !== null && (
              <p class="with-glyph">
                <Glyph tone="warn" shape="triangle" />
                <Prose value={waits} />
              </p>
            )}
            {items.length > 0 && (
              <details class="more">
                <summary>{words.show}</summary>
                <Decisions items={items} />
              </details>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}

/** What goes stands first. */
function Decisions({ items }: { readonly items: readonly PruneDecision[] }) {
  const rows = items.toSorted((a, b) => Number(a.isKept) - Number(b.isKept)).slice(0, MOST_ROWS);
  return (
    <StackTable
      rows={rows}
      keyOf={({ pointId }) => pointId}
      columns={[
        {
          head: backupsText.points.moment,
          kind: 'title',
          cell: ({ pointId, at }) => <a href={pointPath(pointId)}>{momentText(at)}</a>,
        },
        { head: backupsText.points.vm, class: 'mono breaks', isSelfEvident: true, cell: ({ vmName }) => vmName },
        { head: backupsText.points.repository, isSelfEvident: true, cell: ({ repository }) => repository },
        {
          head: backupsText.points.stays,
          isSelfEvident: true,
          class: 'small',
          cell: ({ isKept, reasons }) =>
            isKept ? (
              reasons.map((reason) => backupsText.stays[reason] ?? reason).join(', ')
            ) : (
              <Badge tone="warn">{words.goes}</Badge>
            ),
        },
      ]}
    />
  );
}

function CleanDialog({ onClose }: { readonly onClose: () => void }) {
  const all = homes.value.filter(({ state }) => state === 'ready');
  const chosen = useSignal(all.find(({ isDefault }) => isDefault)?.id ?? all[0]?.id ?? '');
  const allowLarge = useSignal(false);
  const name = all.find(({ id }) => id === chosen.value)?.name ?? '';
  const going = (retention.data.value?.items ?? []).filter(
    ({ isKept, repository }) => !isKept && repository === name,
  ).length;
  const run = () => {
    onClose();
    void follow(
      api('POST /backup-retention/run', { body: { repository: chosen.peek(), allowLarge: allowLarge.peek() } }),
    );
  };
  return (
    <Dialog
      title={words.runTitle(name)}
      onClose={onClose}
      onSubmit={run}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="danger" disabled={name === ''}>
            {words.runAction}
          </Button>
        </>
      }
    >
      {all.length > 1 && (
        <Field label={words.repository}>
          {(field) => (
            <select {...field} value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
              {all.map(({ id, name: called }) => (
                <option key={id} value={id}>
                  {called}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <p>{going === 0 ? words.runNoteNone : words.runNote(going)}</p>
      <Check label={words.allowLarge} checked={allowLarge.value} onChange={(checked) => (allowLarge.value = checked)} />
    </Dialog>
  );
}
