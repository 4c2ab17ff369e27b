/** One VM in the list: a row on wide screens, a card on the phone. */

import type { Vm } from '#contract/vms.ts';
import { Spinner } from '../../components/button.tsx';
import { bytesText, Meter, percentText, rateText, Sparkline } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { VmBadges, VmStateMark } from '../../components/state-mark.tsx';
import { Thumbnail } from '../../components/thumbnail.tsx';
import { vmMenu } from '../../components/vm-actions.tsx';
import { operations } from '../../state/operations.ts';
import { addressesOf, diskBytesOf, historyOf, isOn } from '../../state/vms.ts';
import { text } from '../../text.ts';

/** Pixels; the virtual list counts with them. */
export const ROW_HEIGHT = 52;
export const CARD_HEIGHT = 132;

interface VmRowProps {
  readonly vm: Vm;
  readonly index: number;
  readonly isSelected: boolean;
  readonly onSelect: (id: string, isOn: boolean) => void;
}

export function VmRow({ vm, index, isSelected, onSelect }: VmRowProps) {
  const isLive = isOn(vm);
  const address = addressesOf(vm);
  return (
    <div
      role="row"
      aria-rowindex={index + 1}
      class={`vm-row ${isSelected ? 'is-selected' : ''} ${vm.staleSince ? 'is-stale' : ''}`}
    >
      <span role="cell">
        <input
          type="checkbox"
          aria-label={text.vms.select(vm.name)}
          checked={isSelected}
          onChange={(event) => onSelect(vm.id, event.currentTarget.checked)}
        />
      </span>
      <span role="cell">
        {/* biome-ignore lint/a11y/useAnchorContent: a second, larger target for the pointer; the name beside it is the link for everybody */}
        <a href={`/vms/${vm.id}`} tabIndex={-1} aria-hidden="true">
          <Thumbnail vm={vm} />
        </a>
      </span>
      <span role="cell" class="vm-title">
        <a class="vm-name" href={`/vms/${vm.id}`} title={vm.name}>
          {vm.name}
        </a>
        <span class="badges">
          <VmBadges vm={vm} />
          {vm.title && <span class="muted vm-subtitle">{vm.title}</span>}
        </span>
      </span>
      <span role="cell" class="vm-state">
        <VmStateMark vm={vm} />
        <Working vm={vm} />
      </span>
      <span role="cell">
        {isLive ? (
          <Meter ratio={vm.usage?.cpuRatio ?? null} label={text.overview.cpuOf(vm.name)} warnAt={0.9} />
        ) : (
          <span class="muted mono small">{text.vms.vcpus(vm.vcpus)}</span>
        )}
      </span>
      <span role="cell">
        <Memory vm={vm} />
      </span>
      <span role="cell" class="col-disk mono small">
        {bytesText(diskBytesOf(vm))}
      </span>
      <span role="cell" class="col-net">
        {isLive && <Network vm={vm} />}
      </span>
      <span role="cell" class="col-address mono small" title={address.join('\n')}>
        {address[0] ?? <span class="muted">{text.unknownValue}</span>}
        {address.length > 1 && <span class="muted"> +{address.length - 1}</span>}
      </span>
      <span role="cell" class="vm-menu">
        <Menu label={text.vms.actionsFor(vm.name)} entries={vmMenu(vm)} />
      </span>
    </div>
  );
}

export function VmCard({ vm, index, isSelected, onSelect }: VmRowProps) {
  const address = addressesOf(vm)[0];
  return (
    <div
      role="row"
      aria-rowindex={index + 1}
      class={`vm-card ${isSelected ? 'is-selected' : ''} ${vm.staleSince ? 'is-stale' : ''}`}
    >
      <span role="cell" class="card-thumb">
        <Thumbnail vm={vm} width={192} />
        <input
          type="checkbox"
          aria-label={text.vms.select(vm.name)}
          checked={isSelected}
          onChange={(event) => onSelect(vm.id, event.currentTarget.checked)}
        />
      </span>
      <span role="cell" class="card-main">
        <a class="vm-name" href={`/vms/${vm.id}`}>
          {vm.name}
        </a>
        <span class="vm-state">
          <VmStateMark vm={vm} />
          <Working vm={vm} />
        </span>
        <span class="muted small card-figures">
          {[
            isOn(vm) && vm.usage ? `CPU ${percentText(vm.usage.cpuRatio)}` : text.vms.vcpus(vm.vcpus),
            bytesText(vm.memoryBytes),
            address,
          ]
            .filter(Boolean)
            .join(' · ')}
        </span>
        <span class="badges">
          <VmBadges vm={vm} />
        </span>
      </span>
      <span role="cell" class="vm-menu">
        <Menu label={text.vms.actionsFor(vm.name)} entries={vmMenu(vm)} />
      </span>
    </div>
  );
}

function Working({ vm }: { readonly vm: Vm }) {
  if (vm.operationId === null) return null;
  const title = operations.data.value?.get(vm.operationId)?.title ?? text.vms.working;
  return (
    <a class="working" href={`/operations/${encodeURIComponent(vm.operationId)}`} title={title} aria-label={title}>
      <Spinner />
    </a>
  );
}

function Memory({ vm }: { readonly vm: Vm }) {
  const used = isOn(vm) ? (vm.usage?.memoryUsedBytes ?? null) : null;
  if (used === null) return <span class="mono small muted">{bytesText(vm.memoryBytes)}</span>;
  return (
    <Meter
      ratio={used / vm.memoryBytes}
      label={text.vms.memoryOf(vm.name)}
      value={bytesText(vm.memoryBytes)}
      warnAt={0.9}
    />
  );
}

function Network({ vm }: { readonly vm: Vm }) {
  const rates = historyOf(vm.id).map((sample) => sample.netRate);
  const now =
    vm.usage && vm.usage.netReceiveBytesPerSecond !== null
      ? vm.usage.netReceiveBytesPerSecond + (vm.usage.netTransmitBytesPerSecond ?? 0)
      : null;
  return (
    <span
      class="net"
      title={text.vms.netTitle(
        rateText(vm.usage?.netReceiveBytesPerSecond ?? null),
        rateText(vm.usage?.netTransmitBytesPerSecond ?? null),
      )}
    >
      {rates.length > 1 && (
        <Sparkline values={rates} max={1024} series={3} width={40} height={18} label={text.vms.netHistory(vm.name)} />
      )}
      <span class="mono small">{rateText(now)}</span>
    </span>
  );
}
