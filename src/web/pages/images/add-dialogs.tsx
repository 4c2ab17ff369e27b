/** Three ways to bring an image in: from this computer, from an address, from a path of the host. */

import { type Signal, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Problem } from '#contract/common.ts';
import type { ImageKind } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import { NAME_PATTERN, NAME_RULE } from '#kernel/names.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { bytesText } from '../../components/figures.tsx';
import { Field } from '../../components/form.tsx';
import { Icon, type IconName } from '../../components/icon.tsx';
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
      <CodeField
        label={words.sha256}
        isOptional
        hint={words.sha256Hint}
        value={checksum}
        problem={isSumBad ? words.sha256Bad : fieldProblem(problem.value, 'sha256')}
      />
    </Dialog>
  );
}

/** What the host fetches by itself needs: a name, a kind, and a button that begins the operation.
 *  @param begin asks for it with name and kind where they were given */
function FetchDialog({
  title,
  action,
  icon,
  isReady,
  begin,
  first,
  rest,
  onClose,
}: DialogProps & {
  readonly title: string;
  readonly action: string;
  readonly icon?: IconName;
  readonly isReady: boolean;
  readonly begin: (as: { readonly name?: string; readonly kind?: ImageKind }) => Promise<Operation>;
  /** Where it comes from; stands above name and kind. */
  readonly first: (problem: Problem | null) => ComponentChildren;
  readonly rest?: (problem: Problem | null) => ComponentChildren;
}) {
  const name = useSignal('');
  const kind = useSignal<ImageKind | ''>('');
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const canStart = isReady && (name.value === '' || NAME_PATTERN.test(name.value));
  const start = async () => {
    if (!canStart) return;
    isBusy.value = true;
    problem.value = null;
    const as = { ...(name.value ? { name: name.value } : {}), ...(kind.value ? { kind: kind.value } : {}) };
    const operation = await follow(begin(as), { onRefused: (error) => (problem.value = problemOf(error)) });
    isBusy.value = false;
    if (operation) onClose();
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => void start()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" {...(icon ? { icon } : {})} disabled={!canStart} isBusy={isBusy.value}>
            {action}
          </Button>
        </>
      }
    >
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
      {first(problem.value)}
      <div class="form-row">
        <NameField name={name} problem={problem.value} isOptional />
        <KindField kind={kind} />
      </div>
      {rest?.(problem.value)}
    </Dialog>
  );
}

/** A line of text that is no prose: an address, a path, a checksum. */
function CodeField({
  label,
  hint,
  value,
  problem,
  isOptional = false,
  inputMode = 'text',
  placeholder,
}: {
  readonly label: string;
  readonly hint: string;
  readonly value: Signal<string>;
  readonly problem: string | null;
  readonly isOptional?: boolean;
  /** What the keyboard of a phone offers. */
  readonly inputMode?: 'text' | 'url';
  readonly placeholder?: string;
}) {
  return (
    <Field label={label} hint={hint} problem={problem} isOptional={isOptional}>
      {(field) => (
        <input
          {...field}
          inputMode={inputMode}
          class="mono"
          autocomplete="off"
          spellcheck={false}
          placeholder={placeholder}
          value={value.value}
          onInput={(event) => (value.value = event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function DownloadDialog({ onClose }: DialogProps) {
  const url = useSignal('');
  const checksum = useSignal('');
  const checksumUrl = useSignal('');
  const sum = checksumOf(checksum.value);
  const isUrl = /^https?:\/\/[^\s/]+\/\S+/.test(url.value.trim());
  return (
    <FetchDialog
      title={words.downloadTitle}
      action={text.images.downloadOne}
      icon="download"
      isReady={isUrl && sum !== null}
      onClose={onClose}
      begin={(as) =>
        api('POST /images/download', {
          body: {
            url: url.value.trim(),
            ...as,
            ...sum,
            ...(checksumUrl.value.trim() ? { checksumUrl: checksumUrl.value.trim() } : {}),
          },
        })
      }
      first={(problem) => (
        <CodeField
          label={words.url}
          hint={words.urlHint}
          inputMode="url"
          placeholder="https://"
          value={url}
          problem={fieldProblem(problem, 'url')}
        />
      )}
      rest={(problem) => (
        <>
          <CodeField
            label={words.checksum}
            isOptional
            hint={words.checksumHint}
            value={checksum}
            problem={
              sum === null ? words.checksumBad : (fieldProblem(problem, 'sha256') ?? fieldProblem(problem, 'sha512'))
            }
          />
          <CodeField
            label={words.checksumUrl}
            isOptional
            hint={words.checksumUrlHint}
            inputMode="url"
            placeholder="https://"
            value={checksumUrl}
            problem={fieldProblem(problem, 'checksumUrl')}
          />
        </>
      )}
    />
  );
}

export function ImportDialog({ onClose }: DialogProps) {
  const path = useSignal('');
  return (
    <FetchDialog
      title={words.importTitle}
      action={words.importAction}
      isReady={path.value.startsWith('/') && path.value.length > 1}
      onClose={onClose}
      begin={(as) => api('POST /images/import', { body: { path: path.value, ...as } })}
      first={(problem) => (
        <CodeField
          label={words.path}
          hint={words.pathHint}
          placeholder="/"
          value={path}
          problem={fieldProblem(problem, 'path')}
        />
      )}
    />
  );
}
