/** The facts of a VM, what waits for its next start, its live figures and what happened to it last. */

import type { ComponentChildren } from 'preact';
import type { Vm } from '#contract/vms.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { bytesText, percentText, rateText, Sparkline, TimeAgo } from '../../components/figures.tsx';
import { OperationItem } from '../../components/operation-item.tsx';
import { Card, Facts } from '../../components/page.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { can } from '../../state/api.ts';
import { operationList } from '../../state/operations.ts';
import { addressesOf, diskBytesOf, historyOf, isOn } from '../../state/vms.ts';
import { fieldName, text } from '../../text.ts';
import { DescribeDialog, HardwareDialog } from './edit-dialogs.tsx';
import { closeVmDialog, vmDialog } from './vm-dialog.ts';

const words = text.vm;

export function OverviewTab({ vm }: { readonly vm: Vm }) {
  return (
    <div class="vm-overview">
      <div class="stack">
        {vm.pending.length > 0 && <Pending vm={vm} />}
        <Card
          title={words.hardware}
          aside={
            can('vm.configure') && (
              <Button
                isSmall
                icon="edit"
                onClick={() => (vmDialog.value = <HardwareDialog vm={vm} onClose={closeVmDialog} />)}
              >
                {text.actions.edit}
              </Button>
            )
          }
        >
          <Facts
            items={[
              [
                text.fields.vcpus,
                <WithPending key="c" vm={vm} field="vcpus" value={<span class="mono">{vm.vcpus}</span>} />,
              ],
              [
                text.fields.memory,
                <WithPending
                  key="m"
                  vm={vm}
                  field="memory"
                  value={<span class="mono">{bytesText(vm.memoryBytes)}</span>}
                />,
              ],
              [
                words.disks,
                <a key="d" href={`/vms/${vm.id}/disks`}>
                  {words.diskSummary(
                    vm.disks.filter((disk) => disk.device === 'disk').length,
                    bytesText(diskBytesOf(vm)),
                  )}
                </a>,
              ],
              [words.acceleration, words.accelerations[vm.accel]],
              [words.firmware, [words.firmwares[vm.firmware], vm.hasTpm && words.tpm].filter(Boolean).join(', ')],
              [words.machine, <span key="t" class="mono">{`${vm.arch} · ${vm.machine}`}</span>],
            ]}
          />
        </Card>
        <Card
          title={words.about}
          aside={
            can('vm.configure') && (
              <Button
                isSmall
                icon="edit"
                onClick={() => (vmDialog.value = <DescribeDialog vm={vm} onClose={closeVmDialog} />)}
              >
                {text.actions.edit}
              </Button>
            )
          }
        >
          {vm.description && <p class="vm-description">{vm.description}</p>}
          {vm.tags.length > 0 && (
            <p class="badges">
              {vm.tags.map((tag) => (
                <Badge key={tag} tone="unknown">
                  {tag}
                </Badge>
              ))}
            </p>
          )}
          <Facts
            items={[
              [words.addresses, <Addresses key="a" vm={vm} />],
              [words.agent, words.agents[vm.agent]],
              [text.fields.autostart, vm.autostart ? words.yes : words.no],
              [text.fields.isProtected, vm.isProtected ? words.isProtected : words.notProtected],
              [words.origin, vm.managed ? words.managed : words.unmanaged],
              [words.created, vm.createdAt ? <TimeAgo key="t" iso={vm.createdAt} /> : text.unknownValue],
              [
                'UUID',
                <span key="u" class="with-copy">
                  <code>{vm.id}</code>
                  <CopyButton value={vm.id} name={words.copyUuid} />
                </span>,
              ],
            ]}
          />
        </Card>
      </div>
      <div class="stack">
        <LiveFigures vm={vm} />
        <LastOperations vm={vm} />
      </div>
    </div>
  );
}

function Pending({ vm }: { readonly vm: Vm }) {
  return (
    <Card title={words.pending} class="is-warning" aside={<Badge tone="warn">{text.badges.pending}</Badge>}>
      <div class="table-scroll">
        <table class="table plan-table">
          <thead>
            <tr>
              <th scope="col">{text.plan.field}</th>
              <th scope="col">{text.plan.now}</th>
              <th scope="col">{words.nextStart}</th>
            </tr>
          </thead>
          <tbody>
            {vm.pending.map((difference) => (
              <tr key={difference.field}>
                <th scope="row">{fieldName(difference.field)}</th>
                <td class="mono was">{difference.now}</td>
                <td class="mono">{difference.next}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function WithPending({
  vm,
  field,
  value,
}: {
  readonly vm: Vm;
  readonly field: string;
  readonly value: ComponentChildren;
}) {
  const difference = vm.pending.find((candidate) => candidate.field === field);
  return (
    <>
      {value} {difference && <Badge tone="warn">{words.becomes(difference.next)}</Badge>}
    </>
  );
}

function Addresses({ vm }: { readonly vm: Vm }) {
  const addresses = addressesOf(vm);
  if (addresses.length === 0) return <span class="muted">{isOn(vm) ? words.noAddressYet : text.unknownValue}</span>;
  return (
    <>
      {addresses.map((address) => (
        <span key={address} class="with-copy">
          <code>{address}</code>
          <CopyButton value={address} name={words.copyAddress(address)} />
        </span>
      ))}
    </>
  );
}

function LiveFigures({ vm }: { readonly vm: Vm }) {
  const history = historyOf(vm.id);
  const { usage } = vm;
  if (!isOn(vm))
    return (
      <Card title={words.figures}>
        <p class="muted">{vm.state === 'unknown' ? words.figuresUnknown : words.figuresOff}</p>
      </Card>
    );
  const tiles = [
    {
      title: text.overview.cpu,
      value: percentText(usage?.cpuRatio ?? null),
      values: history.map((sample) => sample.cpuRatio),
      max: 1,
      series: 1,
    },
    {
      title: text.overview.memory,
      value:
        usage && usage.memoryUsedBytes !== null
          ? words.ofTotal(bytesText(usage.memoryUsedBytes), bytesText(vm.memoryBytes))
          : text.unknownValue,
      values: history.map((sample) => sample.memoryRatio),
      max: 1,
      series: 2,
    },
    {
      title: words.diskTraffic,
      value: words.readWrite(
        rateText(usage?.diskReadBytesPerSecond ?? null),
        rateText(usage?.diskWriteBytesPerSecond ?? null),
      ),
      values: history.map((sample) => sample.diskRate),
      max: 1024,
      series: 4,
    },
    {
      title: words.netTraffic,
      value: words.inOut(
        rateText(usage?.netReceiveBytesPerSecond ?? null),
        rateText(usage?.netTransmitBytesPerSecond ?? null),
      ),
      values: history.map((sample) => sample.netRate),
      max: 1024,
      series: 3,
    },
  ] as const;
  return (
    <Card title={words.figures} aside={<span class="muted small">{words.figuresNote}</span>}>
      <div class="tiles">
        {tiles.map((tile) => (
          <div key={tile.title} class="tile">
            <p class="tile-head">
              <span class="muted">{tile.title}</span>
              <span class="mono small">{tile.value}</span>
            </p>
            <Sparkline
              label={words.historyOf(tile.title, vm.name)}
              values={tile.values}
              max={tile.max}
              series={tile.series}
              height={44}
              width={240}
              hasArea={tile.series === 2}
            />
          </div>
        ))}
      </div>
    </Card>
  );
}

const SHOWN = 4;

function LastOperations({ vm }: { readonly vm: Vm }) {
  const mine = operationList.value.filter((operation) => operation.objectId === vm.id).slice(0, SHOWN);
  return (
    <Card title={words.lately} aside={<a href={`/vms/${vm.id}/activity`}>{text.actions.showAll}</a>}>
      {mine.length === 0 ? (
        <p class="muted">{words.noOperations}</p>
      ) : (
        <div class="separated">
          {mine.map((operation) => (
            <OperationItem key={operation.id} operation={operation} />
          ))}
        </div>
      )}
    </Card>
  );
}
