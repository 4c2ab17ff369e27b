/** Adds a place for copies. The key of an SSH host is shown and has to be compared before anything is sent there. */

import { useSignal } from '@preact/signals';
import type { BackupRepository } from '#contract/backups.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Choice } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { TextField } from '../../components/text-field.tsx';
import { api, fieldProblem, problemOf } from '../../state/api.ts';
import { copies, homes, repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { copiesText } from '../../text-copies.ts';
import {
  copyFieldsOf,
  newKeepDraft,
  newPlaceDraft,
  PLACE_KINDS,
  type PlaceDraft,
  type PlaceProblems,
  placeProblems,
  secretsOf,
  settingsOf,
} from './copy-draft.ts';
import { KeepingFields, PlaceFields, PlaceLine } from './copy-fields.tsx';
import { KeyPanel, shownKey } from './host-key.tsx';

const words = copiesText.dialog;
const USES = ['copy', 'existing'] as const;

export function CopyDialog({ onClose }: { readonly onClose: () => void }) {
  const draft = useSignal(newPlaceDraft());
  const home = homes.value.find(({ isDefault }) => isDefault) ?? homes.value[0];
  const keeping = useSignal(newKeepDraft(home?.id ?? '', Intl.DateTimeFormat().resolvedOptions().timeZone));
  const use = useSignal<(typeof USES)[number]>('copy');
  const recoveryKey = useSignal('');
  const isTried = useSignal(false);
  /** That an SSH host shows; null = not asked yet. */
  const asked = useSignal<string | null>(null);
  const isCompared = useSignal(false);
  /** The place is there, and what is copied there is still to be said. */
  const made = useSignal<BackupRepository | null>(null);
  const request = useRequest();
  const problem = request.problem.value;
  const { kind } = draft.value;
  const isExisting = use.value === 'existing';
  const missing: PlaceProblems = placeProblems(draft.value);
  const { fields, problems } = copyFieldsOf(keeping.value);
  const change = (parts: Partial<PlaceDraft>) => {
    draft.value = { ...draft.peek(), ...parts };
  };

  const add = async (hostKey: string | null): Promise<void> => {
    const now = draft.peek();
    const settings = settingsOf(now, hostKey);
    const key = recoveryKey.peek().trim();
    const repository =
      made.peek() ??
      (
        await api('POST /repositories', {
          body: {
            name: now.name.trim(),
            ...(settings === null
              ? { folder: now.mountFolder.trim(), requiresMount: true }
              : { place: settings, secrets: secretsOf(now.kind, now) }),
            existing: isExisting,
            ...(isExisting && key !== '' ? { recoveryKey: key } : {}),
          },
        })
      ).repository;
    made.value = repository;
    const params = { id: repository.id };
    if (isExisting) await follow(api('POST /repositories/{id}/scan', { params }), { isQuiet: true });
    else if (fields !== null) await api('PUT /repositories/{id}/copy', { params, body: fields });
    await Promise.all([repositories.reload(), copies.reload()]);
    showToast({
      kind: 'good',
      title: words.added(repository.name),
      detail: isExisting ? words.scanning : words.addedNote,
    });
  };
  const submit = async () => {
    isTried.value = true;
    if (Object.keys(missing).length > 0 || (!isExisting && fields === null)) return;
    let shown: string | null = null;
    const isDone = await request.run(async () => {
      try {
        await add(asked.peek());
      } catch (error) {
        // What it shows is asked about, not told as a failure.
        shown = asked.peek() === null ? shownKey(problemOf(error)) : null;
        if (shown === null) throw error;
      }
    });
    if (!isDone) return;
    if (shown === null) onClose();
    asked.value = shown;
  };
  const isAsking = asked.value !== null;
  const back = () => {
    asked.value = null;
    isCompared.value = false;
  };
  const shownHere: PlaceProblems = isTried.value ? missing : {};
  const fieldOf = (field: keyof PlaceDraft): string | null =>
    shownHere[field] ??
    fieldProblem(problem, `place.${field}`) ??
    fieldProblem(problem, `secrets.${field}`) ??
    (field === 'mountFolder' ? fieldProblem(problem, 'folder') : null);
  return (
    <Dialog
      isWide
      title={isAsking ? copiesText.key.title(draft.value.host) : words.title}
      onClose={onClose}
      onSubmit={() => void submit()}
      foot={
        <>
          <Button onClick={isAsking ? back : onClose}>{isAsking ? copiesText.key.back : text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value} disabled={isAsking && !isCompared.value}>
            {isAsking ? copiesText.key.trust : kind === 'sftp' ? words.connect : words.action}
          </Button>
        </>
      }
    >
      {problem && <ProblemBox isCompact problem={problem} />}
      {asked.value !== null ? (
        <KeyPanel
          shown={asked.value}
          accepted={null}
          isCompared={isCompared.value}
          onCompared={(value) => (isCompared.value = value)}
        />
      ) : (
        <>
          <div class="field">
            <span class="label">{words.kind}</span>
            <Choice
              label={words.kind}
              value={kind}
              options={PLACE_KINDS.map((value) => ({ value, label: words.kinds[value] }))}
              onChange={(value) => {
                change({ kind: value });
                isTried.value = false;
              }}
            />
            <p class="field-hint">{words.kindNotes[kind]}</p>
          </div>
          <PlaceLine
            name="name"
            label={words.name}
            hint={words.nameHint}
            draft={draft.value}
            problemOf={(field) => fieldOf(field) ?? fieldProblem(problem, field)}
            onChange={change}
          />
          <PlaceFields draft={draft.value} problemOf={fieldOf} onChange={change} />
          <div class="field">
            <span class="label">{words.use}</span>
            <Choice
              label={words.use}
              value={use.value}
              options={USES.map((value) => ({ value, label: words.uses[value] }))}
              onChange={(value) => (use.value = value)}
            />
            {isExisting && <p class="field-hint">{words.existingNote}</p>}
          </div>
          {isExisting ? (
            <TextField
              label={words.recoveryKey}
              isOptional
              hint={words.recoveryKeyHint}
              problem={fieldProblem(problem, 'recoveryKey')}
              isCode
              maxLength={200}
              value={recoveryKey}
            />
          ) : (
            <KeepingFields
              draft={keeping.value}
              problems={isTried.value ? problems : {}}
              isOpen={false}
              onChange={(parts) => {
                keeping.value = { ...keeping.peek(), ...parts };
              }}
            />
          )}
        </>
      )}
    </Dialog>
  );
}
