/** One VM: what it is, what it does now, and everything that can be done to it. */

import { useEffect } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { PostureMark } from '../../components/backup-marks.tsx';
import { Button, ButtonLink } from '../../components/button.tsx';
import { Since } from '../../components/figures.tsx';
import { Icon } from '../../components/icon.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { OperationProgress } from '../../components/operation-item.tsx';
import { EmptyState, Loaded, Tabs } from '../../components/page.tsx';
import { VmBadges, VmStateMark } from '../../components/state-mark.tsx';
import { Thumbnail } from '../../components/thumbnail.tsx';
import {
  askedOf,
  fittingActions,
  isHeldUp,
  powerIcon,
  powerVm,
  VmDialogs,
  vmMenu,
} from '../../components/vm-actions.tsx';
import { api, can } from '../../state/api.ts';
import { postures } from '../../state/backups.ts';
import { isNarrow } from '../../state/media.ts';
import { follow, operations } from '../../state/operations.ts';
import { isOn, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { ActivityTab } from './activity-tab.tsx';
import { BackupsTab } from './backups-tab.tsx';
import { ConsoleTab } from './console-tab.tsx';
import { DefinitionTab } from './definition-tab.tsx';
import { DisksTab } from './disks-tab.tsx';
import { BootOrderDialog, DescribeDialog, HardwareDialog, RenameDialog } from './edit-dialogs.tsx';
import { GraphsTab } from './graphs-tab.tsx';
import { NetworksTab } from './networks-tab.tsx';
import { OverviewTab } from './overview-tab.tsx';
import { closeVmDialog, vmDialog } from './vm-dialog.ts';
import './vm.css';

const words = text.vm;

const TABS = ['overview', 'console', 'graphs', 'disks', 'networks', 'backups', 'activity', 'definition'] as const;
type Tab = (typeof TABS)[number];

export function VmPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const wanted = params['id'] ?? '';
  const tab = TABS.find((candidate) => candidate === params['tab']) ?? 'overview';
  return (
    <Loaded resource={vms} lines={10}>
      {(known) => {
        const vm = known.get(wanted) ?? [...known.values()].find((candidate) => candidate.name === wanted);
        return vm ? <Found vm={vm} tab={tab} /> : <Missing wanted={wanted} />;
      }}
    </Loaded>
  );
}

function Missing({ wanted }: { readonly wanted: string }) {
  return (
    <EmptyState
      icon="vm"
      title={words.missing}
      action={
        <>
          <ButtonLink href="/vms">{words.allVms}</ButtonLink>
          <ButtonLink href="/trash">{text.trash.show}</ButtonLink>
        </>
      }
    >
      {words.missingNote(wanted)}
    </EmptyState>
  );
}

function Found({ vm, tab }: { readonly vm: Vm; readonly tab: Tab }) {
  useEffect(() => {
    document.title = `${vm.name} · Hyper-NixOS`;
  }, [vm.name]);
  useEffect(() => closeVmDialog, []);
  const base = `/vms/${vm.id}`;
  return (
    <div class={vm.staleSince ? 'vm-page is-stale' : 'vm-page'}>
      <Head vm={vm} isConsole={tab === 'console'} />
      <Tabs
        label={words.tabs}
        current={tab}
        tabs={TABS.filter(
          (id) =>
            (id !== 'console' || can('vm.screen')) &&
            (id !== 'graphs' || can('metrics.read')) &&
            (id !== 'backups' || can('backup.read')),
        ).map((id) => ({
          id,
          label: words.tabNames[id],
          href: id === 'overview' ? base : `${base}/${id}`,
        }))}
      />
      {tab === 'overview' && <OverviewTab vm={vm} />}
      {tab === 'console' && <ConsoleTab vm={vm} />}
      {tab === 'graphs' && <GraphsTab vm={vm} />}
      {tab === 'disks' && <DisksTab vm={vm} />}
      {tab === 'networks' && <NetworksTab vm={vm} />}
      {tab === 'backups' && <BackupsTab vm={vm} />}
      {tab === 'activity' && <ActivityTab vm={vm} />}
      {tab === 'definition' && <DefinitionTab vm={vm} />}
      {vmDialog.value}
      <VmDialogs />
    </div>
  );
}

/** Beside the menu; the phone has room for one. */
const shownActions = () => (isNarrow.value ? 1 : 2);

function Head({ vm, isConsole }: { readonly vm: Vm; readonly isConsole: boolean }) {
  const shown = can('vm.power') ? fittingActions(vm).slice(0, shownActions()) : [];
  const operation = vm.operationId === null ? undefined : operations.data.value?.get(vm.operationId);
  const edits: MenuEntry[] = can('vm.configure')
    ? [
        {
          label: words.editHardware,
          icon: 'edit',
          startsGroup: true,
          run: () => (vmDialog.value = <HardwareDialog vm={vm} onClose={closeVmDialog} />),
        },
        {
          label: words.editDescription,
          icon: 'edit',
          run: () => (vmDialog.value = <DescribeDialog vm={vm} onClose={closeVmDialog} />),
        },
        {
          label: words.editBootOrder,
          icon: 'list',
          run: () => (vmDialog.value = <BootOrderDialog vm={vm} onClose={closeVmDialog} />),
        },
        {
          label: words.rename,
          icon: 'edit',
          isDisabled: isOn(vm),
          hint: isOn(vm) ? words.renameOff : '',
          run: () => (vmDialog.value = <RenameDialog vm={vm} onClose={closeVmDialog} />),
        },
        {
          label: vm.autostart ? words.autostartOff : words.autostartOn,
          icon: 'power',
          run: () => void follow(api('PATCH /vms/{id}', { params: { id: vm.id }, body: { autostart: !vm.autostart } })),
        },
      ]
    : [];
  return (
    <header class={`vm-page-head ${isConsole ? 'is-small' : ''}`}>
      {!isConsole && (
        <a href={`/vms/${vm.id}/console`} aria-label={words.openConsole(vm.name)} class="vm-page-screen">
          <Thumbnail vm={vm} width={320} everyMs={5000} class="large" />
        </a>
      )}
      <div class="vm-page-title">
        <p class="crumb">
          <a href="/vms">{text.pages.vms}</a>
          <Icon name="chevron" size={12} />
        </p>
        <h1>{vm.name}</h1>
        {vm.title && <p class="muted">{vm.title}</p>}
        <p class="vm-page-state">
          <VmStateMark vm={vm} />
          {vm.startedAt && isOn(vm) && (
            <span class="muted">
              {words.upFor} <Since iso={vm.startedAt} />
            </span>
          )}
          {vm.staleSince && (
            <span class="tone-warn">
              {words.stale} <Since iso={vm.staleSince} />
            </span>
          )}
          {can('backup.read') && <Protection vmId={vm.id} />}
          <span class="badges">
            <VmBadges vm={vm} />
          </span>
        </p>
      </div>
      <div class="page-actions">
        {shown.map((action, index) => (
          <Button
            key={action}
            icon={powerIcon(action)}
            kind={index === 0 && (action === 'start' || action === 'resume') ? 'primary' : 'plain'}
            disabled={isHeldUp(vm, action)}
            isBusy={askedOf(vm.id) === action}
            title={text.power.hints[action]}
            onClick={() => powerVm(vm, action)}
          >
            {text.power.actions[action]}
          </Button>
        ))}
        {!isConsole && can('vm.screen') && (
          <ButtonLink icon={vm.hasVnc ? 'screen' : 'terminal'} href={`/vms/${vm.id}/console`}>
            {words.console}
          </ButtonLink>
        )}
        <Menu
          label={text.vms.actionsFor(vm.name)}
          triggerClass="button"
          entries={vmMenu(vm, { skip: shown, extra: edits })}
        />
      </div>
      {operation && (
        <div class="vm-page-operation">
          <OperationProgress operation={operation} />
        </div>
      )}
    </header>
  );
}

/** How well it is protected, with the way to the reasons. */
function Protection({ vmId }: { readonly vmId: string }) {
  useEffect(() => postures.ensure(), []);
  const posture = postures.data.value?.vms.find((one) => one.vmId === vmId);
  if (posture === undefined) return null;
  return (
    <a class="plain-link" href={`/vms/${vmId}/backups`} title={posture.reasons[0]?.text ?? text.backups.protectedHint}>
      <PostureMark posture={posture.posture} />
    </a>
  );
}
