/** How restore points of a VM are proven: how far, by what sign, and what is asked of the guest. */

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { ProofSettings } from '#contract/verification.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Check, Choice, Field } from '../../components/form.tsx';
import { Loaded } from '../../components/page.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { api, fieldProblem } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { PROBE_KINDS, type ProofDraft, type ProofProblems, proofDraftOf, proofSettingsOf } from './proof-draft.ts';

const words = backupsText.proofSettings;

interface DialogProps {
  readonly vmId: string;
  readonly vmName: string;
  readonly onClose: () => void;
}

export function ProofSettingsDialog({ vmId, vmName, onClose }: DialogProps) {
  const settings = useMemo(
    () => createResource(() => api('GET /vms/{id}/proof-settings', { params: { id: vmId } })),
    [vmId],
  );
  useEffect(() => settings.ensure(), [settings]);
  const known = settings.data.value;
  if (known !== null) return <Form vmId={vmId} vmName={vmName} known={known} onClose={onClose} />;
  return (
    <Dialog
      title={words.title(vmName)}
      onClose={onClose}
      foot={<Button onClick={onClose}>{text.actions.cancel}</Button>}
    >
      <Loaded resource={settings}>{() => null}</Loaded>
    </Dialog>
  );
}

function Form({ vmId, vmName, known, onClose }: DialogProps & { readonly known: ProofSettings }) {
  const draft = useSignal(proofDraftOf(known));
  const isTried = useSignal(false);
  const request = useRequest();
  const change = (parts: Partial<ProofDraft>) => {
    draft.value = { ...draft.peek(), ...parts };
  };
  const { settings, problems } = proofSettingsOf(draft.value);
  const problem = request.problem.value;
  const save = async () => {
    if (settings !== null) await api('PATCH /vms/{id}/proof-settings', { params: { id: vmId }, body: settings });
  };
  const { level, kind, hasNetwork } = draft.value;
  return (
    <SaveDialog
      title={words.title(vmName)}
      action={words.save}
      request={request}
      isReady={() => {
        isTried.value = true;
        return settings !== null;
      }}
      onSave={save}
      onClose={onClose}
    >
      <Field label={words.level} problem={fieldProblem(problem, 'level')}>
        {(field) => (
          <select {...field} value={level} onChange={(event) => change({ level: event.currentTarget.value })}>
            <option value="">{words.levelDefault}</option>
            {words.levels.map((name, index) => (
              <option key={name} value={String(index)}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Line draft={draft.value} name="marker" label={words.marker} hint={words.markerHint} onChange={change} />
      <div class="field">
        <span class="label">{words.probe}</span>
        <Choice
          label={words.probe}
          value={kind}
          options={PROBE_KINDS.map((value) => ({ value, label: words.probes[value] }))}
          onChange={(value) => change({ kind: value })}
        />
      </div>
      <ProbeFields draft={draft.value} problems={isTried.value ? problems : {}} onChange={change} />
      <Check label={words.network} checked={hasNetwork} onChange={(checked) => change({ hasNetwork: checked })} />
    </SaveDialog>
  );
}

interface PartProps {
  readonly draft: ProofDraft;
  readonly onChange: (parts: Partial<ProofDraft>) => void;
}

function Line({
  draft,
  name,
  label,
  hint,
  problem = null,
  onChange,
}: PartProps & {
  readonly name: 'marker' | 'port' | 'path' | 'expectText' | 'program';
  readonly label: string;
  readonly hint?: string;
  readonly problem?: string | null;
}) {
  return (
    <Field label={label} problem={problem} {...(hint === undefined ? {} : { hint })}>
      {(field) => (
        <input
          {...field}
          class="mono"
          autocomplete="off"
          spellcheck={false}
          {...(name === 'port' ? { inputMode: 'numeric' as const } : {})}
          value={draft[name]}
          onInput={(event) => onChange({ [name]: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

function ProbeFields({ draft, problems, onChange }: PartProps & { readonly problems: ProofProblems }) {
  const port = (
    <Line draft={draft} name="port" label={words.port} problem={problems.port ?? null} onChange={onChange} />
  );
  switch (draft.kind) {
    case 'none':
      return null;
    case 'tcp':
      return port;
    case 'http':
      return (
        <>
          <div class="form-row">
            {port}
            <Line draft={draft} name="path" label={words.path} problem={problems.path ?? null} onChange={onChange} />
          </div>
          <Line draft={draft} name="expectText" label={words.expectText} onChange={onChange} />
        </>
      );
    case 'script':
      return (
        <>
          <Line
            draft={draft}
            name="program"
            label={words.program}
            hint={words.programHint}
            problem={problems.program ?? null}
            onChange={onChange}
          />
          <Field label={words.args} isOptional>
            {(field) => (
              <textarea
                {...field}
                class="mono"
                rows={3}
                spellcheck={false}
                value={draft.args}
                onInput={(event) => onChange({ args: event.currentTarget.value })}
              />
            )}
          </Field>
        </>
      );
  }
}
