/** What can be done to a VM in its present state: the same rules for the list, the bulk bar and the VM's page. */

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Vm } from '#contract/vms.ts';
import { api, can } from '../state/api.ts';
import { follow, operations, showProblem } from '../state/operations.ts';
import { currentPath, matchPath, navigate } from '../state/router.ts';
import { showToast } from '../state/toasts.ts';
import { isOn } from '../state/vms.ts';
import { text } from '../text.ts';
import { ConfirmDialog } from './dialog.tsx';
import type { IconName } from './icon.tsx';
import type { MenuEntry } from './menu.tsx';

export type PowerAction = 'start' | 'shutdown' | 'stop' | 'reboot' | 'reset' | 'pause' | 'resume';

const words = text.power;

const ICONS: Readonly<Record<PowerAction, IconName>> = {
  start: 'play',
  shutdown: 'power',
  stop: 'stop',
  reboot: 'reboot',
  reset: 'bolt',
  pause: 'pause',
  resume: 'play',
};

/** These cut off what the guest has not written yet, so they are asked about first. */
const LOSES_DATA: ReadonlySet<PowerAction> = new Set(['stop', 'reset']);

export function powerIcon(action: PowerAction): IconName {
  return ICONS[action];
}

/** The actions that fit the state, the most likely one first. */
export function fittingActions(vm: Pick<Vm, 'state' | 'persistent'>): readonly PowerAction[] {
  switch (vm.state) {
    case 'running':
    case 'idle':
      return ['shutdown', 'reboot', 'pause', 'stop', 'reset'];
    case 'paused':
      return ['resume', 'stop'];
    case 'shutting_down':
    case 'suspended':
      // A guest that sleeps wakes up by itself or through its keyboard.
      return ['stop'];
    case 'off':
      return ['start'];
    case 'crashed':
      // Kept by libvirt as the guest left it (`on_crash` preserve), or off already: the daemon takes both.
      return ['start', 'stop'];
    case 'unknown':
      return [];
  }
}

/** The question that stands open now; drawn by `VmDialogs`. */
const question = signal<ComponentChildren | null>(null);

/** The place of the questions that actions ask; once per page. */
export function VmDialogs() {
  return <>{question.value}</>;
}

const close = () => {
  question.value = null;
};

const asked = signal<ReadonlyMap<string, PowerAction>>(new Map());

/** What was asked of a VM and is not answered by the daemon yet. */
export function askedOf(id: string): PowerAction | null {
  return asked.value.get(id) ?? null;
}

/** Whether it has to wait for what goes on with the VM. Cutting the power waits for no shutdown: it takes the place of one. */
export function isHeldUp(vm: Vm, action: PowerAction): boolean {
  const open = vm.operationId === null ? undefined : operations.data.value?.get(vm.operationId);
  const isShuttingDown = askedOf(vm.id) === 'shutdown' || open?.kind === 'vm.shutdown';
  if (action === 'stop' && isShuttingDown) return false;
  return vm.operationId !== null || askedOf(vm.id) !== null;
}

/** Does it, asking first where data could be lost. */
export function powerVm(vm: Vm, action: PowerAction): void {
  const run = async () => {
    asked.value = new Map(asked.peek()).set(vm.id, action);
    await follow(callPower(vm.id, action));
    // A later one may have been asked meanwhile; it ends by itself.
    if (askedOf(vm.id) !== action) return;
    const left = new Map(asked.peek());
    left.delete(vm.id);
    asked.value = left;
  };
  if (!LOSES_DATA.has(action)) {
    void run();
    return;
  }
  question.value = (
    <ConfirmDialog
      title={words.confirm[action === 'stop' ? 'stop' : 'reset'].title(vm.name)}
      action={words.confirm[action === 'stop' ? 'stop' : 'reset'].action(vm.name)}
      onConfirm={() => void run()}
      onClose={close}
    >
      <p>{words.confirm[action === 'stop' ? 'stop' : 'reset'].body}</p>
    </ConfirmDialog>
  );
}

function callPower(id: string, action: PowerAction) {
  const params = { id };
  if (action === 'shutdown') return api('POST /vms/{id}/shutdown', { params, body: {} });
  return api(`POST /vms/{id}/${action}`, { params });
}

/** How many of these the action fits. */
export function countFitting(chosen: readonly Vm[], action: PowerAction): number {
  return chosen.filter((vm) => fittingActions(vm).includes(action)).length;
}

/** Several VMs at once. Those that the action does not fit are left out, and the question says so. */
export function powerVms(chosen: readonly Vm[], action: PowerAction, onDone: () => void): void {
  const fitting = chosen.filter((vm) => fittingActions(vm).includes(action));
  const skipped = chosen.length - fitting.length;
  const run = () => {
    onDone();
    for (const vm of fitting) void follow(callPower(vm.id, action), { isQuiet: true });
    showToast({
      kind: 'info',
      title: words.bulkStarted(words.actions[action], fitting.length),
      links: [{ href: '/operations', label: text.operations.all }],
    });
  };
  question.value = (
    <ConfirmDialog
      title={words.bulkTitle(words.actions[action], fitting.length)}
      action={words.bulkTitle(words.actions[action], fitting.length)}
      kind={LOSES_DATA.has(action) ? 'danger' : 'primary'}
      onConfirm={run}
      onClose={close}
    >
      {LOSES_DATA.has(action) && <p>{words.confirm.stop.body}</p>}
      <ul class="name-list">
        {fitting.map((vm) => (
          <li key={vm.id} class="mono">
            {vm.name}
          </li>
        ))}
      </ul>
      {skipped > 0 && <p class="muted">{words.bulkSkipped(skipped)}</p>}
    </ConfirmDialog>
  );
}

/** Moves a VM to the trash after its name was typed; the toast offers the way back. */
export function deleteVm(vm: Vm): void {
  // Only what the question told: a VM that was started while it stood open is refused.
  const query = isOn(vm) ? { stop: 'true' } : {};
  const run = () =>
    void follow(api('DELETE /vms/{id}', { params: { id: vm.id }, query }), {
      onDone: () => {
        const path = currentPath.peek();
        const shown = (matchPath('/vms/:id', path) ?? matchPath('/vms/:id/:tab', path))?.['id'];
        if (shown === vm.id || shown === vm.name) navigate('/vms');
        showToast({
          kind: 'good',
          title: text.trash.moved(vm.name),
          detail: text.trash.movedNote,
          action: { label: text.trash.undo, run: () => void undoDelete(vm) },
          links: [{ href: '/trash', label: text.trash.show }],
        });
      },
    });
  question.value = (
    <ConfirmDialog
      title={text.trash.deleteTitle(vm.name)}
      action={text.trash.deleteAction(vm.name)}
      typedName={vm.name}
      onConfirm={run}
      onClose={close}
    >
      <p>{isOn(vm) ? text.trash.deleteBodyOn : text.trash.deleteBody}</p>
    </ConfirmDialog>
  );
}

async function undoDelete(vm: Vm): Promise<void> {
  try {
    const page = await api('GET /trash', { query: {} });
    const item = page.items.find((candidate) => candidate.vmId === vm.id);
    await follow(api('POST /trash/{id}/restore', { params: { id: item?.id ?? vm.name } }));
  } catch (error) {
    showProblem(error);
  }
}

export function setProtected(vm: Vm, isProtected: boolean): void {
  void follow(api('PATCH /vms/{id}', { params: { id: vm.id }, body: { isProtected } }), { isQuiet: true });
}

/** Menu entries for a VM. @param skip actions that stand beside the menu as buttons */
export function vmMenu(
  vm: Vm,
  options: { readonly skip?: readonly PowerAction[]; readonly extra?: readonly MenuEntry[] } = {},
): MenuEntry[] {
  const power = can('vm.power') ? fittingActions(vm).filter((action) => !options.skip?.includes(action)) : [];
  return [
    ...power.map(
      (action): MenuEntry => ({
        label: words.actions[action],
        icon: ICONS[action],
        run: () => powerVm(vm, action),
        isDangerous: LOSES_DATA.has(action),
        hint: words.hints[action],
      }),
    ),
    ...(options.extra ?? []),
    ...(can('vm.configure')
      ? [
          {
            label: vm.isProtected ? text.vm.unprotect : text.vm.protect,
            icon: 'lock',
            run: () => setProtected(vm, !vm.isProtected),
            startsGroup: true,
            hint: text.vm.protectHint,
          } satisfies MenuEntry,
        ]
      : []),
    ...(can('vm.delete')
      ? [
          {
            label: text.vm.delete,
            icon: 'trash',
            run: () => deleteVm(vm),
            isDangerous: true,
            isDisabled: vm.isProtected,
            hint: vm.isProtected ? text.vm.deleteProtected : text.vm.deleteHint,
          } satisfies MenuEntry,
        ]
      : []),
  ];
}
