/** Three ways to bring an image in: from this computer, from an address, from a path of the host. */

import { type Signal, useSignal } from '@preact/signals';
import type { Problem } from '#contract/common.ts';
import type { ImageKind } from '#contract/images.ts';
import { NAME_PATTERN, NAME_RULE } from '#kernel/names.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { bytesText } from '../../components/figures.tsx';
import { Field } from '../../components/form.tsx';
import { Icon } from '../../components/icon.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api, fieldProblem, problemOf } from '../../state/api.ts';
import { follow } from '../../state/operations.ts';
import { startUpload } from '../../state/uploads.ts';
import { text } from '../../text.ts';
import { kindFromFile, nameFromFile } from './image-name.ts';

const words = text.addImage;

interface DialogProps {
  readonly onClose: () => void;
}

const SHA256 = /^[0-9a-f]{64}$/;
const SHA512 = /^[0-9a-f]{128}$/;

/** A checksum as the API wants it, by its length; null when it is neither. */
function checksumOf(typed: string): { sha256?: string; sha512?: string } | null {
  const sum = typed.trim().toLowerCase();
  if (sum === '') return {};
  return SHA256.test(sum) ? { sha256: sum } : SHA512.test(sum) ? { sha512: sum } : null;
}

function NameField({
  name,
  problem,
  isOptional = false,
}: {
  readonly name: Signal<string>;
  readonly problem: Problem | null;
  readonly isOptional?: boolean;
}) {
  const isBad = name.value !== '' && !NAME_PATTERN.test(name.value);
  return (
    <Field
      label={text.fields.name}
      isOptional={isOptional}
      hint={isOptional ? words.nameFromFile : undefined}
      problem={isBad ? text.edit.nameRule(NAME_RULE) : fieldProblem(problem, 'name')}
    >
      {(field) => (
        <input
          {...field}
          class="mono"
          autocomplete="off"
          spellcheck={false}
          value={name.value}
          onInput={(event) => (name.value = event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

function KindField({ kind }: { readonly kind: Signal<ImageKind | ''> }) {
  return (
    <Field label={text.images.kind}>
      {(field) => (
        <select
          {...field}
          value={kind.value}
          onChange={(event) =>
            (kind.value =
              (['iso', 'disk', 'kernel', 'initrd'] as const).find((one) => one === event.currentTarget.value) ?? '')
          }
        >
          <option value="">{words.findOut}</option>
          {Object.entries(text.imageKinds).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function UploadDialog({ onClose }: DialogProps) {
  const file = useSignal<File | null>(null);
  const name = useSignal('');
  const kind = useSignal<ImageKind | ''>('');
  const checksum = useSignal('');
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const isOver = useSignal(false);
  const sum = checksumOf(checksum.value);
  const isSumBad = checksum.value.trim() !== '' && !sum?.sha256;
  const choose = (chosen: File | undefined) => {
    if (!chosen) return;
    file.value = chosen;
    name.value = nameFromFile(chosen.name);
    kind.value = kindFromFile(chosen.name) ?? '';
  };
  const isReady = file.value !== null && NAME_PATTERN.test(name.value) && !isSumBad;
  const start = async () => {
    if (!file.value || !isReady) return;
    isBusy.value = true;
    try {
      await startUpload(file.value, {
        name: name.value,
        ...(kind.value ? { kind: kind.value } : {}),
        ...(sum?.sha256 ? { sha256: sum.sha256 } : {}),
      });
      onClose();
    } catch (error) {
      problem.value = problemOf(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog
      title={words.uploadTitle}
      onClose={onClose}
      onSubmit={() => void start()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" icon="upload" disabled={!isReady} isBusy={isBusy.value}>
            {file.value ? words.uploadAction(bytesText(file.value.size)) : words.upload}
          </Button>
        </>
      }
    >
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
      <label
        class={`drop ${isOver.value ? 'is-over' : ''}`}
        onDragOver={(event) => {
          event.preventDefault();
          isOver.value = true;
        }}
        onDragLeave={() => (isOver.value = false)}
        onDrop={(event) => {
          event.preventDefault();
          isOver.value = false;
          choose(event.dataTransfer?.files[0]);
        }}
      >
        <Icon name="upload" size={28} />
        <span>{file.value ? <strong class="mono">{file.value.name}</strong> : words.drop}</span>
        <span class="muted small">{file.value ? bytesText(file.value.size) : words.dropNote}</span>
        <input type="file" class="visually-hidden" onChange={(event) => choose(event.currentTarget.files?.[0])} />
      </label>
      <div class="form-row">
        <NameField name={name} problem={problem.value} />
        <KindField kind={kind} />
      </div>
      <Field
        label={words.sha256}
        isOptional
        hint={words.sha256Hint}
        problem={isSumBad ? words.sha256Bad : fieldProblem(problem.value, 'sha256')}
      >
        {(field) => (
          <input
            {...field}
            class="mono"
            autocomplete="off"
            spellcheck={false}
            value={checksum.value}
            onInput={(event) => (checksum.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}

export function DownloadDialog({ onClose }: DialogProps) {
  const url = useSignal('');
  const name = useSignal('');
  const kind = useSignal<ImageKind | ''>('');
  const checksum = useSignal('');
  const checksumUrl = useSignal('');
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const sum = checksumOf(checksum.value);
  const isUrl = /^https?:\/\/[^\s/]+\/\S+/.test(url.value.trim());
  const isReady = isUrl && sum !== null && (name.value === '' || NAME_PATTERN.test(name.value));
  const start = async () => {
    if (!isReady || sum === null) return;
    isBusy.value = true;
    problem.value = null;
    const body = {
      url: url.value.trim(),
      ...(name.value ? { name: name.value } : {}),
      ...(kind.value ? { kind: kind.value } : {}),
      ...sum,
      ...(checksumUrl.value.trim() ? { checksumUrl: checksumUrl.value.trim() } : {}),
    };
    const operation = await follow(api('POST /images/download', { body }), {
      onRefused: (error) => (problem.value = problemOf(error)),
    });
    isBusy.value = false;
    if (operation) onClose();
  };
  return (
    <Dialog
      title={words.downloadTitle}
      onClose={onClose}
      onSubmit={() => void start()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" icon="download" disabled={!isReady} isBusy={isBusy.value}>
            {text.images.downloadOne}
          </Button>
        </>
      }
    >
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
      <Field label={words.url} hint={words.urlHint} problem={fieldProblem(problem.value, 'url')}>
        {(field) => (
          <input
            {...field}
            type="url"
            class="mono"
            autocomplete="off"
            spellcheck={false}
            placeholder="https://"
            value={url.value}
            onInput={(event) => (url.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <div class="form-row">
        <NameField name={name} problem={problem.value} isOptional />
        <KindField kind={kind} />
      </div>
      <Field
        label={words.checksum}
        isOptional
        hint={words.checksumHint}
        problem={
          sum === null
            ? words.checksumBad
            : (fieldProblem(problem.value, 'sha256') ?? fieldProblem(problem.value, 'sha512'))
        }
      >
        {(field) => (
          <input
            {...field}
            class="mono"
            autocomplete="off"
            spellcheck={false}
            value={checksum.value}
            onInput={(event) => (checksum.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <Field
        label={words.checksumUrl}
        isOptional
        hint={words.checksumUrlHint}
        problem={fieldProblem(problem.value, 'checksumUrl')}
      >
        {(field) => (
          <input
            {...field}
            type="url"
            class="mono"
            autocomplete="off"
            spellcheck={false}
            placeholder="https://"
            value={checksumUrl.value}
            onInput={(event) => (checksumUrl.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}

export function ImportDialog({ onClose }: DialogProps) {
  const path = useSignal('');
  const name = useSignal('');
  const kind = useSignal<ImageKind | ''>('');
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const isReady =
    path.value.startsWith('/') && path.value.length > 1 && (name.value === '' || NAME_PATTERN.test(name.value));
  const start = async () => {
    if (!isReady) return;
    isBusy.value = true;
    problem.value = null;
    const operation = await follow(
      api('POST /images/import', {
        body: {
          path: path.value,
          ...(name.value ? { name: name.value } : {}),
          ...(kind.value ? { kind: kind.value } : {}),
        },
      }),
      { onRefused: (error) => (problem.value = problemOf(error)) },
    );
    isBusy.value = false;
    if (operation) onClose();
  };
  return (
    <Dialog
      title={words.importTitle}
      onClose={onClose}
      onSubmit={() => void start()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" disabled={!isReady} isBusy={isBusy.value}>
            {words.importAction}
          </Button>
        </>
      }
    >
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
      <Field label={words.path} hint={words.pathHint} problem={fieldProblem(problem.value, 'path')}>
        {(field) => (
          <input
            {...field}
            class="mono"
            autocomplete="off"
            spellcheck={false}
            placeholder="/"
            value={path.value}
            onInput={(event) => (path.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <div class="form-row">
        <NameField name={name} problem={problem.value} isOptional />
        <KindField kind={kind} />
      </div>
    </Dialog>
  );
}
