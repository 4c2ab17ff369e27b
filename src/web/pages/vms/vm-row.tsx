/** One VM in the list: a row on wide screens, a card on the phone. */

import type { Vm } from '#contract/vms.ts';
import { Spinner } from '../../components/button.tsx';
import { bytesText, Meter, percentText, rateText, Sparkline } from '../../components/figures.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { VmBadges, VmStateMark } from '../../components/state-mark.tsx';
import { Thumbnail } from '../../components/thumbnail.tsx';
import { vmMenu } from '../../components/vm-actions.tsx';
import { can } from '../../state/api.ts';
import { operations } from '../../state/operations.ts';
import { areSeveralProjects, projectName } from '../../state/projects.ts';
import { navigate, setQuery } from '../../state/router.ts';
import { addressesOf, diskBytesOf, historyOf, isOn } from '../../state/vms.ts';
import { text } from '../../text.ts';

/** Pixels; the virtual list counts with them. */
export const ROW_HEIGHT = 52;
export const CARD_HEIGHT = 140;

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
          <Tags vm={vm} />
          {vm.title && <span class="muted vm-subtitle">{vm.title}</span>}
        </span>
      </span>
      {areSeveralProjects.value && (
        <span role="cell" class="col-project small" title={projectName(vm.project)}>
          {projectName(vm.project)}
        </span>
      )}
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
      <span role="cell" class="col-disk mono small" title={diskTitle(vm)}>
        {diskText(vm) ?? <span class="muted">{text.unknownValue}</span>}
      </span>
      <span role="cell" class="col-net mono small">
        {isLive && vm.usage ? <Network vm={vm} /> : <span class="muted">{text.unknownValue}</span>}
      </span>
      <span role="cell" class="col-address mono small" title={address.join('\n')}>
        {address[0] ?? <span class="muted">{text.unknownValue}</span>}
        {address.length > 1 && <span class="muted"> +{address.length - 1}</span>}
      </span>
      <span role="cell" class="vm-menu">
        <Menu label={text.vms.actionsFor(vm.name)} entries={listMenu(vm)} />
      </span>
    </div>
  );
}

export function VmCard({ vm, index, isSelected, onSelect }: VmRowProps) {
  const isLive = isOn(vm) && vm.usage !== null;
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
            areSeveralProjects.value && projectName(vm.project),
            isLive ? text.vms.cpuNow(percentText(vm.usage?.cpuRatio ?? null)) : text.vms.vcpus(vm.vcpus),
            bytesText(vm.memoryBytes),
            diskText(vm) && text.vms.diskOf(diskText(vm) ?? ''),
          ]
            .filter(Boolean)
            .join(' · ')}
        </span>
        {address && <span class="muted small card-figures">{address}</span>}
        <span class="badges">
          <VmBadges vm={vm} />
          <Tags vm={vm} />
        </span>
      </span>
      <span role="cell" class="vm-menu">
        <Menu label={text.vms.actionsFor(vm.name)} entries={listMenu(vm)} />
      </span>
    </div>
  );
}

const SHOWN_TAGS = 3;

/** A click shows only VMs with the same tag. */
function Tags({ vm }: { readonly vm: Vm }) {
  return (
    <>
      {vm.tags.slice(0, SHOWN_TAGS).map((tag) => (
        <button
          key={tag}
          type="button"
          class="tag"
          title={text.vms.onlyTag(tag)}
          aria-label={text.vms.onlyTag(tag)}
          onClick={() => setQuery({ tag })}
        >
          #{tag}
        </button>
      ))}
      {vm.tags.length > SHOWN_TAGS && (
        <span class="muted small" title={vm.tags.join(', ')}>
          +{vm.tags.length - SHOWN_TAGS}
        </span>
      )}
    </>
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

/** What came in and what went out, one above the other; wide rows have the last minutes beside it. */
function Network({ vm }: { readonly vm: Vm }) {
  const history = historyOf(vm.id).map((sample) => sample.netRate);
  const [received, sent] = ratesOf(vm);
  return (
    <span class="net" title={text.vms.netTitle(received, sent)}>
      {history.length > 1 && (
        <Sparkline values={history} max={1024} series={3} width={40} height={18} label={text.vms.netHistory(vm.name)} />
      )}
      <span class="rates">
        <span>↓ {received}</span>
        <span>↑ {sent}</span>
      </span>
    </span>
  );
}

function ratesOf({ usage }: Vm): [received: string, sent: string] {
  return [rateText(usage?.netReceiveBytesPerSecond ?? null), rateText(usage?.netTransmitBytesPerSecond ?? null)];
}

/** Size of the disks; null when there is none, or none whose size is known. */
function diskText(vm: Vm): string | null {
  const bytes = diskBytesOf(vm);
  return bytes === null ? null : bytesText(bytes);
}

function diskTitle(vm: Vm): string | undefined {
  const disks = vm.disks.filter((disk) => disk.device === 'disk');
  if (disks.length === 0) return undefined;
  const taken = disks.reduce((total, disk) => total + (disk.allocatedBytes ?? 0), 0);
  return text.vms.diskTitle(text.vm.diskSummary(disks.length, bytesText(diskBytesOf(vm))), bytesText(taken));
}

/** The console is what a list is mostly opened for. */
function listMenu(vm: Vm): MenuEntry[] {
  const console: MenuEntry = {
    label: text.vm.console,
    icon: vm.hasVnc ? 'screen' : 'terminal',
    startsGroup: true,
    run: () => navigate(`/vms/${vm.id}/console`),
  };
  return vmMenu(vm, { extra: can('vm.screen') ? [console] : [] });
}
