/** The frame of a dialog that makes or edits something: its fields, what the daemon says of them, and the buttons; it closes when it is
 *  saved. With the two fields that all such things have. */

import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { RequestState } from '../state/use-request.ts';
import { text } from '../text.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { Field } from './form.tsx';
import { ProblemBox } from './problem-box.tsx';

/** @param lead stands above what the daemon says
 *  @param isReady false = something is missing, which the fields say themselves
 *  @param onSave what it throws is shown, and the dialog stays */
export function SaveDialog({
  title,
  action,
  request,
  lead,
  isWide = false,
  isReady = () => true,
  onSave,
  onClose,
  children,
}: {
  readonly title: string;
  readonly action: string;
  readonly request: RequestState;
  readonly lead?: ComponentChildren;
  readonly isWide?: boolean;
  readonly isReady?: () => boolean;
  readonly onSave: () => Promise<void>;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}) {
  const save = async () => {
    if (isReady() && (await request.run(onSave))) onClose();
  };
  const problem = request.problem.value;
  return (
    <Dialog
      isWide={isWide}
      title={title}
      onClose={onClose}
      onSubmit={() => void save()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value}>
            {action}
          </Button>
        </>
      }
    >
      {lead}
      {problem && <ProblemBox isCompact problem={problem} />}
      {children}
    </Dialog>
  );
}

export function NameField({
  label,
  hint,
  problem,
  value,
}: {
  readonly label: string;
  readonly hint?: string;
  readonly problem: string | null;
  readonly value: Signal<string>;
}) {
  return (
    <Field label={label} problem={problem} {...(hint === undefined ? {} : { hint })}>
      {(field) => (
        <input
          {...field}
          class="mono"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          value={value.value}
          onInput={(event) => (value.value = event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function TitleField({
  label,
  problem,
  value,
}: {
  readonly label: string;
  readonly problem: string | null;
  readonly value: Signal<string>;
}) {
  return (
    <Field label={label} isOptional problem={problem}>
      {(field) => (
        <input
          {...field}
          autocomplete="off"
          value={value.value}
          onInput={(event) => (value.value = event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
