/** Changes to a VM. Each dialog shows the plan of what is typed before it can be applied. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { Vm, VmEdit } from '#contract/vms.ts';
import { NAME_PATTERN, NAME_RULE } from '#kernel/names.ts';
import { GIB, MIB, parseBytes } from '#kernel/units.ts';
import { Button, IconButton } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { bytesText } from '../../components/figures.tsx';
import { Field, SizeInput } from '../../components/form.tsx';
import { PlanPane } from '../../components/plan-view.tsx';
import { api, fieldProblem, problemOf } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { follow } from '../../state/operations.ts';
import { usePlan } from '../../state/use-plan.ts';
import { isOn } from '../../state/vms.ts';
import { text } from '../../text.ts';

const words = text.edit;

interface EditDialogProps {
  readonly vm: Vm;
  readonly title: string;
  /** Only what differs from now; null = what is typed cannot be sent. */
  readonly edit: VmEdit | null;
  readonly onClose: () => void;
  readonly children: (problemOfField: (path: string) => string | null) => ComponentChildren;
}

function EditDialog({ vm, title, edit, onClose, children }: EditDialogProps) {
  // What somebody else changes while this stands open must not be overwritten unseen.
  const etag = useSignal(vm.etag).peek();
  const isBusy = useSignal(false);
  const refused = useSignal<Problem | null>(null);
  const hasChanges = edit !== null && Object.keys(edit).length > 0;
  const {
    plan,
    problem,
    isBusy: isPlanning,
  } = usePlan(hasChanges ? edit : null, (body, signal) =>
    api('POST /vms/{id}/plan', { params: { id: vm.id }, body, signal }),
  );
  const waits = isOn(vm) && (plan?.changes.some((change) => change.effect !== 'live') ?? false);
  const canApply = hasChanges && plan !== null && !isPlanning && plan.changes.length > 0;
  const apply = async () => {
    if (!canApply || edit === null) return;
    isBusy.value = true;
    refused.value = null;
    const started = await follow(
      api('PATCH /vms/{id}', { params: { id: vm.id }, body: edit, headers: { 'if-match': etag } }),
      { onRefused: (error) => (refused.value = problemOf(error)) },
    );
    isBusy.value = false;
    if (started) onClose();
  };
  const shown = refused.value ?? problem;
  const marked: string[] = [];
  const fields = children((path) => {
    const found = fieldProblem(shown, path);
    if (found) marked.push(path);
    return found;
  });
  const wrong = shown?.fields ?? [];
  const isMarked =
    edit === null ||
    (wrong.length > 0 && wrong.every((field) => marked.some((path) => `${field.path}.`.startsWith(`${path}.`))));
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => void apply()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" disabled={!canApply} isBusy={isBusy.value}>
            {waits ? words.applyNext : words.applyNow}
          </Button>
        </>
      }
    >
      {fields}
      <PlanPane plan={hasChanges ? plan : null} problem={shown} isBusy={isPlanning} isMarked={isMarked} />
    </Dialog>
  );
}

interface DialogProps {
  readonly vm: Vm;
  readonly onClose: () => void;
}

export function HardwareDialog({ vm, onClose }: DialogProps) {
  // What waits for the next start is what is being edited, not what runs now.
  const waiting = (field: string) => vm.pending.find((difference) => difference.field === field)?.next ?? '';
  const storedVcpus = Number(waiting('vcpus')) || vm.vcpus;
  const storedMemory = parseBytes(waiting('memory')) ?? vm.memoryBytes;
  const vcpus = useSignal(String(storedVcpus));
  const memoryBytes = useSignal<number | null>(storedMemory);
  const count = Number(vcpus.value);
  const bytes = memoryBytes.value;
  const areVcpusGood = Number.isInteger(count) && count > 0;
  const isMemoryGood = bytes !== null && bytes >= 16 * MIB;
  const isValid = areVcpusGood && isMemoryGood;
  const edit: VmEdit | null = isValid
    ? { ...(count === storedVcpus ? {} : { vcpus: count }), ...(bytes === storedMemory ? {} : { memoryBytes: bytes }) }
    : null;
  return (
    <EditDialog vm={vm} title={words.hardware(vm.name)} edit={edit} onClose={onClose}>
      {(problemOfField) => (
        <div class="form-row">
          <Field label={text.fields.vcpus} problem={areVcpusGood ? problemOfField('vcpus') : text.create.vcpusBad}>
            {(field) => (
              <input
                {...field}
                class="mono"
                inputMode="numeric"
                value={vcpus.value}
                onInput={(event) => (vcpus.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field
            label={text.fields.memory}
            problem={isMemoryGood ? problemOfField('memoryBytes') : text.create.memoryBad}
          >
            {(field) => (
              <SizeInput
                control={field}
                bytes={memoryBytes.value}
                unit={vm.memoryBytes < GIB ? 'MiB' : 'GiB'}
                onChange={(bytes) => (memoryBytes.value = bytes)}
              />
            )}
          </Field>
        </div>
      )}
    </EditDialog>
  );
}

export function DescribeDialog({ vm, onClose }: DialogProps) {
  const title = useSignal(vm.title ?? '');
  const description = useSignal(vm.description ?? '');
  const tags = useSignal(vm.tags.join(', '));
  const wantedTags = tags.value.split(/[\s,]+/).filter(Boolean);
  const edit: VmEdit = {
    ...(title.value === (vm.title ?? '') ? {} : { title: title.value || null }),
    ...(description.value === (vm.description ?? '') ? {} : { description: description.value || null }),
    ...(wantedTags.join() === vm.tags.join() ? {} : { tags: wantedTags }),
  };
  return (
    <EditDialog vm={vm} title={words.describe(vm.name)} edit={edit} onClose={onClose}>
      {(problemOfField) => (
        <>
          <Field label={text.fields.title} isOptional hint={words.titleHint} problem={problemOfField('title')}>
            {(field) => (
              <input
                {...field}
                maxLength={120}
                value={title.value}
                onInput={(event) => (title.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={text.fields.description} isOptional problem={problemOfField('description')}>
            {(field) => (
              <textarea
                {...field}
                rows={6}
                value={description.value}
                onInput={(event) => (description.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field
            label={text.fields.tags}
            isOptional
            hint={words.tagsHint}
            problem={tagProblem(wantedTags, problemOfField)}
          >
            {(field) => (
              <input {...field} value={tags.value} onInput={(event) => (tags.value = event.currentTarget.value)} />
            )}
          </Field>
        </>
      )}
    </EditDialog>
  );
}

/** The API names the place in the list; the field is one for all. */
function tagProblem(tags: readonly string[], problemOfField: (path: string) => string | null): string | null {
  const bad = tags.findIndex((_, place) => problemOfField(`tags.${place}`) !== null);
  return bad < 0 ? problemOfField('tags') : `${tags[bad]}: ${problemOfField(`tags.${bad}`)}`;
}

export function RenameDialog({ vm, onClose }: DialogProps) {
  const name = useSignal(vm.name);
  const isValid = NAME_PATTERN.test(name.value);
  const edit: VmEdit | null = isValid ? (name.value === vm.name ? {} : { name: name.value }) : null;
  return (
    <EditDialog vm={vm} title={words.rename(vm.name)} edit={edit} onClose={onClose}>
      {(problemOfField) => (
        <Field
          label={text.fields.name}
          hint={words.nameHint}
          problem={isValid || name.value === vm.name ? problemOfField('name') : words.nameRule(NAME_RULE)}
        >
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              value={name.value}
              onInput={(event) => (name.value = event.currentTarget.value)}
            />
          )}
        </Field>
      )}
    </EditDialog>
  );
}

export function BootOrderDialog({ vm, onClose }: DialogProps) {
  const waiting = vm.pending.find((difference) => difference.field === 'bootOrder');
  const stored = waiting ? waiting.next.split(', ').filter(Boolean) : vm.bootOrder;
  const order = useSignal<readonly string[]>(stored);
  const all = [
    ...vm.disks.map((disk) => ({
      id: disk.target,
      label: [text.devices[disk.device], disk.source].filter(Boolean).join(' · '),
    })),
    ...vm.nics.map((nic) => ({ id: nic.mac, label: [text.devices.nic, nic.source].filter(Boolean).join(' · ') })),
  ];
  const labelOf = (id: string) => all.find((device) => device.id === id)?.label ?? '';
  const left = all.filter((device) => !order.value.includes(device.id));
  const edit: VmEdit = order.value.join() === stored.join() ? {} : { bootOrder: [...order.value] };
  const move = (from: number, to: number) => {
    const next = [...order.value];
    const [item] = next.splice(from, 1);
    if (item !== undefined) next.splice(to, 0, item);
    order.value = next;
  };
  return (
    <EditDialog vm={vm} title={words.bootOrder(vm.name)} edit={edit} onClose={onClose}>
      {() => (
        <div class="boot-order">
          <p class="muted small">{words.bootOrderHint}</p>
          <ol>
            {order.value.map((id, index) => (
              <li key={id}>
                <span class="boot-place">{index + 1}</span>
                <span class="boot-name">
                  <code>{id}</code> <span class="muted">{labelOf(id)}</span>
                </span>
                <IconButton
                  icon="up"
                  label={words.moveUp(id)}
                  disabled={index === 0}
                  onClick={() => move(index, index - 1)}
                />
                <IconButton
                  icon="down"
                  label={words.moveDown(id)}
                  disabled={index === order.value.length - 1}
                  onClick={() => move(index, index + 1)}
                />
                <IconButton
                  icon="close"
                  label={words.dontTry(id)}
                  onClick={() => (order.value = order.value.filter((other) => other !== id))}
                />
              </li>
            ))}
            {left.map((device) => (
              <li key={device.id} class="is-left">
                <span class="boot-place">–</span>
                <span class="boot-name">
                  <code>{device.id}</code> <span class="muted">{device.label}</span>
                </span>
                <IconButton
                  icon="plus"
                  label={words.tryToo(device.id)}
                  onClick={() => (order.value = [...order.value, device.id])}
                />
              </li>
            ))}
          </ol>
        </div>
      )}
    </EditDialog>
  );
}

export function CdromDialog({ vm, target, onClose }: DialogProps & { readonly target: string }) {
  const imageId = useSignal(vm.disks.find((disk) => disk.target === target)?.imageId ?? '');
  useEffect(() => images.ensure(), []);
  const isos = [...(images.data.value?.values() ?? [])].filter(
    (image) => image.kind === 'iso' && image.state === 'ready',
  );
  const before = vm.disks.find((disk) => disk.target === target)?.imageId ?? '';
  const edit: VmEdit = imageId.value === before ? {} : { cdrom: { target, imageId: imageId.value || null } };
  return (
    <EditDialog vm={vm} title={words.cdrom(vm.name)} edit={edit} onClose={onClose}>
      {(problemOfField) => (
        <Field
          label={words.disc}
          problem={problemOfField('cdrom')}
          hint={isos.length === 0 ? <a href="/images">{words.noIsos}</a> : undefined}
        >
          {(field) => (
            <select {...field} value={imageId.value} onChange={(event) => (imageId.value = event.currentTarget.value)}>
              <option value="">{words.emptyDrive}</option>
              {isos.map((image) => (
                <option key={image.id} value={image.id}>
                  {image.name} ({bytesText(image.sizeBytes)})
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
    </EditDialog>
  );
}
