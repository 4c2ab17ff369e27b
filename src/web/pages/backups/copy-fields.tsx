/** The fields of a place of copies, by its kind; what is secret can be typed and never read. */

import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import { Button } from '../../components/button.tsx';
import { Check, Choice, Field } from '../../components/form.tsx';
import { homes } from '../../state/backups.ts';
import { copiesText } from '../../text-copies.ts';
import type { KeepDraft, PlaceDraft } from './copy-draft.ts';
import { KeepFields } from './keep-fields.tsx';

const words = copiesText.dialog;

/** Longer than any key. */
const MOST_FILE_BYTES = 32_768;

export interface PlaceFieldsProps {
  readonly draft: PlaceDraft;
  /** What is wrong with a field, from here or from the daemon. */
  readonly problemOf: (field: keyof PlaceDraft) => string | null;
  readonly onChange: (parts: Partial<PlaceDraft>) => void;
}

type TextName = {
  [Name in keyof PlaceDraft]: PlaceDraft[Name] extends string
    ? string extends PlaceDraft[Name]
      ? Name
      : never
    : never;
}[keyof PlaceDraft];

/** @param isSecret dots instead of what is typed, without a password manager that offers to keep it */
export function PlaceLine({
  name,
  label,
  hint,
  isSecret = false,
  isOptional = false,
  isNumber = false,
  draft,
  problemOf,
  onChange,
}: PlaceFieldsProps & {
  readonly name: TextName;
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly isSecret?: boolean;
  readonly isOptional?: boolean;
  readonly isNumber?: boolean;
}) {
  return (
    <Field label={label} hint={hint} isOptional={isOptional} problem={problemOf(name)}>
      {(control) => (
        <input
          {...control}
          class={`mono ${isSecret ? 'is-secret' : ''}`}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          inputMode={isNumber ? 'numeric' : undefined}
          value={draft[name]}
          onInput={(event) => onChange({ [name]: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

export function PlaceFields(props: PlaceFieldsProps) {
  const { draft, problemOf, onChange } = props;
  switch (draft.kind) {
    case 'sftp':
      return (
        <>
          <div class="form-row is-host">
            <PlaceLine {...props} name="host" label={words.host} hint={words.hostHint} />
            <PlaceLine {...props} name="port" label={words.port} isNumber />
          </div>
          <div class="form-row">
            <PlaceLine {...props} name="user" label={words.user} />
            <PlaceLine {...props} name="folder" label={words.folder} hint={words.folderHint} />
          </div>
          <SftpCredentials {...props} />
        </>
      );
    case 's3':
      return (
        <>
          <PlaceLine {...props} name="endpoint" label={words.endpoint} hint={words.endpointHint} />
          <div class="form-row">
            <PlaceLine {...props} name="bucket" label={words.bucket} />
            <PlaceLine {...props} name="prefix" label={words.prefix} hint={words.prefixHint} isOptional />
            <PlaceLine {...props} name="region" label={words.region} />
          </div>
          <S3Credentials {...props} />
          <Check
            label={words.lock}
            hint={words.lockHint}
            checked={draft.isLocked}
            onChange={(isLocked) => onChange({ isLocked })}
          />
          {draft.isLocked && (
            <div class="form-row">
              <PlaceLine {...props} name="lockDays" label={words.lockDays} isNumber />
            </div>
          )}
          <details class="more" open={problemOf('ca') !== null}>
            <summary>{words.ca}</summary>
            <Field label={words.ca} hint={words.caHint} isOptional problem={problemOf('ca')}>
              {(control) => (
                <textarea
                  {...control}
                  class="mono"
                  rows={4}
                  spellcheck={false}
                  value={draft.ca}
                  onInput={(event) => onChange({ ca: event.currentTarget.value })}
                />
              )}
            </Field>
          </details>
        </>
      );
    case 'mount':
      return <PlaceLine {...props} name="mountFolder" label={words.mountFolder} hint={words.mountFolderHint} />;
  }
}

/** @param keptHint of a place that has credentials already: what is left empty stays */
export function SftpCredentials({ keptHint, ...props }: PlaceFieldsProps & { readonly keptHint?: string }) {
  const { draft, onChange } = props;
  const isOptional = keptHint !== undefined;
  return (
    <>
      <div class="field">
        <span class="label">{words.auth}</span>
        <Choice
          label={words.auth}
          value={draft.auth}
          options={(['key', 'password'] as const).map((value) => ({ value, label: words.auths[value] }))}
          onChange={(auth) => onChange({ auth })}
        />
      </div>
      {draft.auth === 'key' ? (
        <>
          <PrivateKey {...props} hint={keptHint ?? words.privateKeyHint} />
          <PlaceLine {...props} name="passphrase" label={words.passphrase} isSecret isOptional />
        </>
      ) : (
        <PlaceLine
          {...props}
          name="password"
          label={words.password}
          hint={keptHint ?? words.secretHint}
          isSecret
          isOptional={isOptional}
        />
      )}
    </>
  );
}

export function S3Credentials({ keptHint, ...props }: PlaceFieldsProps & { readonly keptHint?: string }) {
  const isOptional = keptHint !== undefined;
  return (
    <div class="form-row">
      <PlaceLine {...props} name="accessKey" label={words.accessKey} hint={keptHint} isOptional={isOptional} />
      <PlaceLine
        {...props}
        name="secretKey"
        label={words.secretKey}
        hint={keptHint ?? words.secretHint}
        isSecret
        isOptional={isOptional}
      />
    </div>
  );
}

function PrivateKey({ draft, problemOf, onChange, hint }: PlaceFieldsProps & { readonly hint: string }) {
  const file = useRef<HTMLInputElement>(null);
  return (
    <Field label={words.privateKey} hint={hint} problem={problemOf('privateKey')}>
      {(control) => (
        <>
          <textarea
            {...control}
            class="mono small"
            rows={4}
            spellcheck={false}
            autocapitalize="off"
            placeholder="-----BEGIN OPENSSH PRIVATE KEY-----"
            value={draft.privateKey}
            onInput={(event) => onChange({ privateKey: event.currentTarget.value })}
          />
          <input
            ref={file}
            type="file"
            hidden
            aria-label={words.readFile}
            onChange={async (event) => {
              const [chosen] = event.currentTarget.files ?? [];
              if (chosen) onChange({ privateKey: await chosen.slice(0, MOST_FILE_BYTES).text() });
            }}
          />
          <span>
            <Button isSmall kind="quiet" icon="upload" onClick={() => file.current?.click()}>
              {words.readFile}
            </Button>
          </span>
        </>
      )}
    </Field>
  );
}

/** What is copied, when, what stays there, and how fast. @param isOpen of one that is there already */
export function KeepingFields({
  draft,
  problems,
  isOpen,
  onChange,
}: {
  readonly draft: KeepDraft;
  readonly problems: Readonly<Partial<Record<'source' | 'keep' | 'limit', string | null>>>;
  readonly isOpen: boolean;
  readonly onChange: (parts: Partial<KeepDraft>) => void;
}) {
  const fields = (
    <>
      <Check
        label={words.automatic}
        hint={words.automaticHint}
        checked={draft.isEnabled}
        onChange={(isEnabled) => onChange({ isEnabled })}
      />
      <Check
        label={words.states}
        hint={words.statesHint}
        checked={draft.takesStates}
        onChange={(takesStates) => onChange({ takesStates })}
      />
      <div class="field">
        <span class="label">{words.keep}</span>
        <Choice
          label={words.keep}
          value={draft.isThinned ? 'some' : 'all'}
          options={(['all', 'some'] as const).map((value) => ({ value, label: words.keeps[value] }))}
          onChange={(value) => onChange({ isThinned: value === 'some' })}
        />
      </div>
      {draft.isThinned && (
        <KeepFields
          keep={draft.keep}
          hint={words.keepHint}
          problem={problems.keep ?? null}
          onChange={(keep) => onChange({ keep })}
        />
      )}
      <Field label={words.limit} hint={words.limitHint} isOptional problem={problems.limit ?? null}>
        {(control) => (
          <input
            {...control}
            class="mono"
            inputMode="decimal"
            autocomplete="off"
            value={draft.limit}
            onInput={(event) => onChange({ limit: event.currentTarget.value })}
          />
        )}
      </Field>
    </>
  );
  return (
    <>
      {(homes.value.length !== 1 || homes.value[0]?.id !== draft.source) && (
        <Field label={words.source} problem={problems.source ?? null}>
          {(control) => (
            <select
              {...control}
              value={draft.source}
              onChange={(event) => onChange({ source: event.currentTarget.value })}
            >
              {!homes.value.some(({ id }) => id === draft.source) && <option value="">–</option>}
              {homes.value.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {isOpen ? (
        fields
      ) : (
        <details class="more" open={Boolean(problems.keep ?? problems.limit)}>
          <summary>{words.more}</summary>
          <div class="form">{fields}</div>
        </details>
      )}
    </>
  );
}
