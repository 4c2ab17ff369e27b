/** Name, CPUs, memory, disk and firmware. */

import { useEffect } from 'preact/hooks';
import { DEFAULT_PROJECT, NAME_PATTERN, NAME_RULE } from '#kernel/names.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { bytesText } from '../../components/figures.tsx';
import { Check, Choice, Field, SizeInput } from '../../components/form.tsx';
import { can } from '../../state/api.ts';
import { images, pools } from '../../state/library.ts';
import { overview } from '../../state/overview.ts';
import { vmList, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import type { Draft } from './draft.ts';
import type { StepProps } from './step-props.ts';

const words = text.create;

/** What stands in the way of the next step and only the lists of VMs and images tell; null when nothing. */
export function resourcesProblem(draft: Draft): string | null {
  return nameProblem(draft) ?? diskProblem(draft);
}

function nameProblem(draft: Draft): string | null {
  const project = draft.project === '' ? DEFAULT_PROJECT : draft.project;
  const isTaken = vmList.value.some((vm) => vm.name === draft.name && vm.project === project);
  return isTaken ? words.nameTaken(draft.name) : null;
}

function diskProblem(draft: Draft): string | null {
  const least = draft.source === 'cloud' ? images.data.value?.get(draft.cloudImageId)?.virtualSizeBytes : undefined;
  return least !== undefined && draft.diskBytes !== null && draft.diskBytes < least
    ? words.diskTooSmall(bytesText(least))
    : null;
}

export function ResourcesStep({ draft, change, problemOfField }: StepProps) {
  useEffect(() => {
    vms.ensure();
    if (can('storage.read')) pools.ensure();
  }, []);
  const isNameBad = draft.name !== '' && !NAME_PATTERN.test(draft.name);
  const vcpus = Number(draft.vcpus);
  const host = overview.data.value?.host ?? null;
  const free =
    host?.usage && host.usage.memoryUsedBytes !== null ? host.memoryBytes - host.usage.memoryUsedBytes : null;
  const image = draft.source === 'cloud' ? images.data.value?.get(draft.cloudImageId) : undefined;
  const needsDisk = draft.source === 'empty' || draft.source === 'cloud';
  const usablePools = (pools.data.value ?? []).filter((pool) => pool.state === 'active');
  const memoryProblem =
    draft.memoryBytes === null || draft.memoryBytes < 16 * MIB ? words.memoryBad : problemOfField('memoryBytes');
  const memoryWarning =
    host && draft.memoryBytes !== null && draft.memoryBytes > host.memoryBytes
      ? words.aboveMemory(bytesText(host.memoryBytes))
      : free !== null && draft.memoryBytes !== null && draft.memoryBytes > free
        ? words.aboveFree(bytesText(free))
        : null;
  return (
    <div class="form">
      <div class="form-row">
        <Field
          label={text.fields.name}
          hint={words.nameHint}
          problem={isNameBad ? text.edit.nameRule(NAME_RULE) : (nameProblem(draft) ?? problemOfField('name'))}
        >
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              maxLength={63}
              value={draft.name}
              onInput={(event) => change({ name: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field label={text.fields.title} isOptional problem={problemOfField('title')}>
          {(field) => (
            <input
              {...field}
              maxLength={120}
              value={draft.title}
              onInput={(event) => change({ title: event.currentTarget.value })}
            />
          )}
        </Field>
      </div>
      <div class="form-row">
        <Field
          label={text.fields.vcpus}
          hint={host ? words.hostCpus(host.cpus) : undefined}
          warning={host && vcpus > host.cpus ? words.aboveCpus(host.cpus) : null}
          problem={Number.isInteger(vcpus) && vcpus > 0 ? problemOfField('vcpus') : words.vcpusBad}
        >
          {(field) => (
            <input
              {...field}
              class="mono"
              inputMode="numeric"
              value={draft.vcpus}
              onInput={(event) => change({ vcpus: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field
          label={text.fields.memory}
          hint={free === null ? undefined : words.hostMemory(bytesText(free))}
          warning={memoryWarning}
          problem={memoryProblem}
        >
          {(field) => (
            <SizeInput control={field} bytes={draft.memoryBytes} onChange={(memoryBytes) => change({ memoryBytes })} />
          )}
        </Field>
      </div>
      {!needsDisk && (
        <Check
          label={words.withDisk}
          hint={words.withDiskHint}
          checked={draft.hasDisk}
          onChange={(hasDisk) => change({ hasDisk })}
        />
      )}
      {(needsDisk || draft.hasDisk) && (
        <div class="form-row">
          <Field
            label={words.disk}
            hint={image ? words.diskFrom(image.name) : words.diskHint}
            problem={
              diskProblem(draft) ?? (draft.diskBytes === null ? words.diskBad : problemOfField('disks.0.sizeBytes'))
            }
          >
            {(field) => (
              <SizeInput
                control={field}
                bytes={draft.diskBytes}
                unit={(draft.diskBytes ?? GIB) < GIB ? 'MiB' : 'GiB'}
                onChange={(diskBytes) => change({ diskBytes })}
              />
            )}
          </Field>
          {usablePools.length > 1 && (
            <Field label={words.pool} problem={problemOfField('disks.0.pool')}>
              {(field) => (
                <select {...field} value={draft.pool} onChange={(event) => change({ pool: event.currentTarget.value })}>
                  <option value="">{words.defaultPool}</option>
                  {usablePools.map((pool) => (
                    <option key={pool.id} value={pool.name}>
                      {pool.name} ({text.overview.free(bytesText(pool.availableBytes))})
                    </option>
                  ))}
                </select>
              )}
            </Field>
          )}
        </div>
      )}
      <details class="more">
        <summary>{words.more}</summary>
        <div class="form">
          {draft.source !== 'kernel' && (
            <div class="field">
              <span class="field-name">{text.vm.firmware}</span>
              <Choice
                label={text.vm.firmware}
                value={draft.firmware}
                onChange={(firmware) => change({ firmware, ...(firmware === 'bios' ? { secureBoot: false } : {}) })}
                options={[
                  { value: 'uefi', label: text.vm.firmwares.uefi },
                  { value: 'bios', label: text.vm.firmwares.bios },
                ]}
              />
            </div>
          )}
          {draft.source !== 'kernel' && draft.firmware === 'uefi' && (
            <Check
              label={words.secureBoot}
              hint={words.secureBootHint}
              checked={draft.secureBoot}
              onChange={(secureBoot) => change({ secureBoot })}
            />
          )}
          <Check label={words.tpm} hint={words.tpmHint} checked={draft.tpm} onChange={(tpm) => change({ tpm })} />
          <Check
            label={words.graphics}
            hint={words.graphicsHint}
            checked={draft.graphics}
            onChange={(graphics) => change({ graphics })}
          />
          <Check
            label={words.emulate}
            hint={words.emulateHint}
            checked={draft.accel === 'tcg'}
            onChange={(isEmulated) => change({ accel: isEmulated ? 'tcg' : 'auto' })}
          />
          <Check
            label={words.isProtected}
            hint={text.badges.protectedHint}
            checked={draft.isProtected}
            onChange={(isProtected) => change({ isProtected })}
          />
        </div>
      </details>
      <Check label={words.autostart} checked={draft.autostart} onChange={(autostart) => change({ autostart })} />
      <Check label={words.startNow} checked={draft.start} onChange={(start) => change({ start })} />
    </div>
  );
}
