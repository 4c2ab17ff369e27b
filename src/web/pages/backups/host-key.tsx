/** The key that an SSH host shows: it is compared over there before it is trusted, for a new place and when it has changed. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { BackupRepository } from '#contract/backups.ts';
import type { Problem } from '#contract/common.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Check } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api, problemOf } from '../../state/api.ts';
import { copies, repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { copiesText } from '../../text-copies.ts';

const words = copiesText.key;

/** The fingerprint that a refusal tells because nobody accepted it; null when it was refused for something else. */
export function shownKey({ code, params }: Problem): string | null {
  const key = params?.['hostKey'];
  return (code === 'host_key_unknown' || code === 'host_key_changed') && typeof key === 'string' ? key : null;
}

/** @param accepted so far; null = none was */
export function KeyPanel({
  shown,
  accepted,
  isCompared,
  onCompared,
}: {
  readonly shown: string;
  readonly accepted: string | null;
  readonly isCompared: boolean;
  readonly onCompared: (isCompared: boolean) => void;
}) {
  return (
    <>
      <p>{accepted === null ? words.note : words.changedNote}</p>
      <dl class="host-keys">
        <dt>{words.shown}</dt>
        <dd class="host-key with-copy">
          <code>{shown}</code>
          <CopyButton value={shown} />
        </dd>
        {accepted !== null && (
          <>
            <dt>{words.accepted}</dt>
            <dd class="host-key is-old">
              <code>{accepted}</code>
            </dd>
          </>
        )}
      </dl>
      <div class="field">
        <p>{words.compare}</p>
        <p class="command with-copy">
          <code>{words.command}</code>
          <CopyButton value={words.command} />
        </p>
      </div>
      <Check label={words.isSame} checked={isCompared} onChange={onCompared} />
    </>
  );
}

/** Asks a host for its key of now, and accepts it once it was compared. */
export function HostKeyDialog({
  repository,
  onClose,
}: {
  readonly repository: BackupRepository;
  readonly onClose: () => void;
}) {
  const { id, name, hostKey } = repository;
  const shown = useSignal<string | null>(null);
  const isCompared = useSignal(false);
  const request = useRequest();
  const again = () => follow(api('POST /repositories/{id}/copy', { params: { id } }), { isQuiet: true });
  const reload = () => Promise.all([repositories.reload(), copies.reload()]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is asked once
  useEffect(() => {
    void request
      .run(async () => {
        try {
          // Nothing is changed: what it is reached with is tried.
          await api('PATCH /repositories/{id}', { params: { id }, body: {} });
        } catch (error) {
          shown.value = shownKey(problemOf(error));
          if (shown.value === null) throw error;
        }
      })
      .then(async (isDone) => {
        if (!isDone || shown.value !== null) return;
        onClose();
        await reload();
        showToast({ kind: 'good', title: words.same(name) });
      });
  }, []);
  const accept = async () => {
    const key = shown.peek();
    if (key === null || !isCompared.peek()) return;
    const isDone = await request.run(async () => {
      await api('PATCH /repositories/{id}', { params: { id }, body: { hostKey: key } });
    });
    if (!isDone) return;
    onClose();
    await reload();
    showToast({ kind: 'good', title: words.accepts(name) });
    if (copies.data.peek()?.some(({ repositoryId }) => repositoryId === id)) await again();
  };
  const problem = request.problem.value;
  return (
    <Dialog
      isWide
      title={words.changedTitle(name)}
      onClose={onClose}
      onSubmit={() => void accept()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button
            type="submit"
            kind="primary"
            isBusy={request.isBusy.value}
            disabled={shown.value === null || !isCompared.value}
          >
            {words.accept}
          </Button>
        </>
      }
    >
      {problem && <ProblemBox isCompact problem={problem} />}
      {shown.value === null ? (
        !problem && <p class="muted">{words.looking}</p>
      ) : (
        <KeyPanel
          shown={shown.value}
          accepted={hostKey}
          isCompared={isCompared.value}
          onCompared={(value) => (isCompared.value = value)}
        />
      )}
    </Dialog>
  );
}
