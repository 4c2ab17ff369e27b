/** Power: start, shut down, stop, reboot, reset, pause, resume. One step each, which looks at the world first and may run again. */

import { z } from 'zod';
import type { Permission } from '#contract/permissions.ts';
import type { Vm } from '#contract/vms.ts';
import { isOnState } from '#features/inventory/index.ts';
import { defineOperation, type OperationDefinition, type Step, type StepContext } from '#features/operations/index.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import { prepareStart } from './prepare-start.ts';
import type { VmServices } from './services.ts';

export const powerInputSchema = z.object({ vmId: z.string(), name: z.string() });
export type PowerInput = z.infer<typeof powerInputSchema>;
export const shutdownInputSchema = powerInputSchema.extend({ timeoutSeconds: z.number() });
export type ShutdownInput = z.infer<typeof shutdownInputSchema>;

export type PowerVerb = 'start' | 'stop' | 'reboot' | 'reset' | 'pause' | 'resume';

interface VerbDefinition {
  readonly title: (name: string) => string;
  readonly stepTitle: string;
  /** States in which the request makes sense. */
  readonly from: readonly Vm['state'][];
  readonly desired: Vm['desired'] | null;
  /** Kinds that this does not wait for. */
  readonly takesOver?: readonly string[];
}

const SHUTDOWN = 'vm.shutdown';
/** They read the disks and hold the VM for as long as that takes. */
const BACKUPS = ['backup.run', 'backup.run-stopped'] as const;

/** It may wait for libvirt for minutes. */
const HEALING_OF_NICS = 'healing.nic-up';

const ON: readonly Vm['state'][] = ['running', 'idle', 'paused', 'shutting_down', 'suspended', 'crashed'];

export const POWER_VERBS: Readonly<Record<PowerVerb, VerbDefinition>> = {
  start: { title: (name) => `Start ${name}`, stepTitle: 'Start the VM', from: ['off', 'crashed'], desired: 'running' },
  stop: {
    title: (name) => `Stop ${name}`,
    stepTitle: 'Cut the power',
    from: ON,
    desired: 'off',
    // This is what people do when a guest does not listen.
    takesOver: [SHUTDOWN, HEALING_OF_NICS, ...BACKUPS],
  },
  reboot: {
    title: (name) => `Reboot ${name}`,
    stepTitle: 'Ask the guest to reboot',
    from: ['running', 'idle'],
    desired: 'running',
  },
  reset: {
    title: (name) => `Reset ${name}`,
    stepTitle: 'Press the reset button',
    from: ['running', 'idle', 'paused'],
    desired: null,
  },
  pause: {
    title: (name) => `Pause ${name}`,
    stepTitle: 'Freeze the vCPUs',
    from: ['running', 'idle'],
    desired: 'paused',
  },
  resume: { title: (name) => `Resume ${name}`, stepTitle: 'Let the vCPUs run', from: ['paused'], desired: 'running' },
};

const PERMISSION: Permission = 'vm.power';
/** What a start remembers, so that undoing it stops nothing that ran before. */
const WAS_OFF = 'was-off';

/** @throws AppError wrong_state naming what fits instead; unavailable while the host does not answer */
export function requireState(vm: Vm, verb: PowerVerb | 'shutdown'): void {
  if (vm.state === 'unknown') {
    throw new AppError('unavailable', {
      detail: `The state of "${vm.name}" is not known: libvirt does not answer.`,
      hint: 'Try again when it is back; `hv preflight` names the part.',
    });
  }
  const from = verb === 'shutdown' ? POWER_VERBS.reboot.from : POWER_VERBS[verb].from;
  if (from.includes(vm.state)) return;
  throw new AppError('wrong_state', {
    detail: `"${vm.name}" is ${vm.state.replace('_', ' ')}, so it cannot be asked to ${verb === 'shutdown' ? 'shut down' : verb}.`,
    hint: isOnState(vm.state)
      ? 'It is on: shut it down or stop it first, or resume it when it is paused.'
      : 'It is off: start it first.',
    params: { state: vm.state },
  });
}

/** @throws wrong_state when another program moved it to another host: started here too, both would write to its disks */
export function requireHere(vm: Pick<Vm, 'id' | 'name'>, known: Pick<VmServices['known'], 'row'>): void {
  const moved = known.row(vm.id)?.moved;
  if (!moved) return;
  throw new AppError('wrong_state', {
    detail: `"${vm.name}" was moved to another host on ${moved.at.slice(0, 10)} and may run there: started here as well it would destroy its disks.`,
    hint: `Bring it back with \`virsh migrate\`. If it runs nowhere any more, start it once with \`virsh start ${moved.domainName}\`.`,
  });
}

export function powerOperation(verb: PowerVerb, services: VmServices): OperationDefinition<PowerInput> {
  const { title, stepTitle, desired, takesOver = [] } = POWER_VERBS[verb];
  return defineOperation({
    kind: `vm.${verb}`,
    permission: PERMISSION,
    input: powerInputSchema,
    title: (input) => title(input.name),
    object: (input) => ({ type: 'vm', id: input.vmId, name: input.name }),
    locks: (input) => [`vm:${input.vmId}`],
    takesOver,
    steps: (input): Step[] => [
      {
        name: verb,
        title: stepTitle,
        async act(context) {
          await act(verb, input.vmId, services, context);
          await settle(input.vmId, desired, services);
        },
        // When it was given up while libvirt was silent, the guest may run all the same.
        async compensate(context) {
          if (verb === 'start' && context.recall(WAS_OFF) === true) await services.access.stop(input.vmId);
          await services.known.refresh(input.vmId);
        },
      },
    ],
    result: async (input) => ({
      vmId: input.vmId,
      name: input.name,
      state: services.known.vm(input.vmId)?.state ?? 'unknown',
    }),
  });
}

async function act(verb: PowerVerb, vmId: string, services: VmServices, context: StepContext): Promise<void> {
  const { access, known } = services;
  switch (verb) {
    case 'start': {
      if (!(await access.isOn(vmId))) await context.remember(WAS_OFF, true);
      await prepareStart(vmId, context.signal, services);
      return access.start(vmId);
    }
    case 'stop':
      return access.stop(vmId);
    case 'reset':
      return access.reset(vmId);
    case 'pause':
      if (!(await access.isPaused(vmId))) await access.suspend(vmId);
      return;
    case 'resume':
      if (await access.isPaused(vmId)) await access.resume(vmId);
      return;
    case 'reboot': {
      // A reboot is repeated only when it is not known whether the guest was asked.
      if (context.recall('asked') === true) return;
      await askGuest(known.vm(vmId)?.agent === 'connected', (by) => access.reboot(vmId, by === null ? {} : { by }));
      await context.remember('asked', true);
    }
  }
}

/** By the agent where it answers, else by ACPI. */
async function askGuest(hasAgent: boolean, ask: (by: 'agent' | 'acpi' | null) => Promise<void>): Promise<void> {
  if (hasAgent) {
    try {
      await ask('agent');
      return;
    } catch (error) {
      // The agent went away or hangs; the power button is next.
      if (
        !['agent_unavailable', 'timeout', 'unsupported_by_host', 'libvirt_failed', 'libvirt_unavailable'].includes(
          toAppError(error).code,
        )
      )
        throw error;
    }
  }
  await ask('acpi');
}

async function settle(vmId: string, desired: Vm['desired'] | null, { known }: VmServices): Promise<void> {
  const row = known.row(vmId);
  if (desired !== null && row && row.desired !== desired) await known.rows.put({ ...row, desired });
  await known.refresh(vmId);
}

const BUTTON_EVERY_MS = 15_000;
const LOOK_EVERY_MS = 5_000;

/** Asks the guest to shut down and waits. It never cuts the power: when the time is over it says so and offers that. */
export function shutdownOperation(services: VmServices): OperationDefinition<ShutdownInput> {
  const { access, known, clock } = services;
  return defineOperation({
    kind: SHUTDOWN,
    permission: PERMISSION,
    input: shutdownInputSchema,
    title: (input) => `Shut down ${input.name}`,
    object: (input) => ({ type: 'vm', id: input.vmId, name: input.name }),
    locks: (input) => [`vm:${input.vmId}`],
    steps: (input): Step[] => [
      {
        name: 'shutdown',
        title: 'Ask the guest and wait until it is off',
        timeoutMs: null,
        isCancellable: true,
        check: async () => !(await access.isOn(input.vmId)),
        async act(context) {
          const startMs = clock.monotonicMs();
          const limitMs = input.timeoutSeconds * 1000;
          let pressedMs = Number.NEGATIVE_INFINITY;
          for (;;) {
            const nowMs = clock.monotonicMs();
            if (nowMs - startMs >= limitMs) break;
            if (nowMs - pressedMs >= BUTTON_EVERY_MS) {
              // Some guests miss the first press of the button while they boot.
              const hasAgent = pressedMs < 0 && known.vm(input.vmId)?.agent === 'connected';
              await askUnlessOff(
                () =>
                  askGuest(hasAgent, (by) =>
                    access.shutdown(input.vmId, { signal: context.signal, ...(by === null ? {} : { by }) }),
                  ),
                () => access.isOn(input.vmId),
              );
              pressedMs = nowMs;
            }
            context.progress({
              note: `waiting for the guest, ${Math.round((limitMs - (nowMs - startMs)) / 1000)} s left`,
            });
            if (
              await isOffWithin(
                input.vmId,
                Math.min(LOOK_EVERY_MS, limitMs - (nowMs - startMs)),
                context.signal,
                services,
              )
            ) {
              await settle(input.vmId, 'off', services);
              return;
            }
          }
          throw new AppError('guest_did_not_shut_down', {
            detail: `"${input.name}" was asked to shut down and was still on after ${input.timeoutSeconds} s.`,
            hint: `Wait and ask again, or cut its power with \`hv vm stop ${input.name}\` (unsaved data in the guest is lost).`,
          });
        },
      },
    ],
    result: async (input) => ({ vmId: input.vmId, name: input.name, state: known.vm(input.vmId)?.state ?? 'unknown' }),
  });
}

/** Asking a guest that just went off is no failure. */
async function askUnlessOff(ask: () => Promise<void>, isOn: () => Promise<boolean>): Promise<void> {
  try {
    await ask();
  } catch (error) {
    if (await isOn()) throw error;
  }
}

async function isOffWithin(
  vmId: string,
  ms: number,
  signal: AbortSignal,
  { access, known }: VmServices,
): Promise<boolean> {
  try {
    await known.waitFor(vmId, (vm) => vm === null || vm.state === 'off' || vm.state === 'crashed', ms, signal);
    return true;
  } catch (error) {
    if (toAppError(error).code !== 'timeout') throw error;
    // An event can get lost; libvirt itself has the last word.
    return !(await access.isOn(vmId));
  }
}
