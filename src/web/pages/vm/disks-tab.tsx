/** Disks and drives of a VM. */

import type { Vm } from '#contract/vms.ts';
import { Button } from '../../components/button.tsx';
import { bytesText, Meter } from '../../components/figures.tsx';
import { Card, EmptyState } from '../../components/page.tsx';
import { can } from '../../state/api.ts';
import { text } from '../../text.ts';
import { BootOrderDialog, CdromDialog } from './edit-dialogs.tsx';
import { closeVmDialog, vmDialog } from './vm-dialog.ts';

const words = text.disks;

export function DisksTab({ vm }: { readonly vm: Vm }) {
  if (vm.disks.length === 0) return <EmptyState icon="storage" title={words.none} />;
  return (
    <Card
      class="is-flush"
      title={text.vm.disks}
      aside={
        can('vm.configure') && (
          <Button
            isSmall
            icon="list"
            onClick={() => (vmDialog.value = <BootOrderDialog vm={vm} onClose={closeVmDialog} />)}
          >
            {text.vm.editBootOrder}
          </Button>
        )
      }
    >
      <div class="table-scroll">
        <table class="table stacks">
          <thead>
            <tr>
              <th scope="col">{words.target}</th>
              <th scope="col">{words.device}</th>
              <th scope="col">{words.source}</th>
              <th scope="col" class="number">
                {words.size}
              </th>
              <th scope="col">{words.used}</th>
              <th scope="col" class="number">
                {words.boot}
              </th>
              <th scope="col">
                <span class="visually-hidden">{text.vms.actions}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {vm.disks.map((disk) => (
              <tr key={disk.target}>
                <th scope="row" class="mono">
                  {disk.target}
                </th>
                <td data-label={words.device}>
                  {[text.devices[disk.device], disk.bus, disk.format].filter(Boolean).join(' · ')}
                </td>
                <td data-label={words.source} class="mono breaks">
                  {disk.source ?? <span class="muted">{words.empty}</span>}
                </td>
                <td data-label={words.size} class="number">
                  {bytesText(disk.sizeBytes)}
                </td>
                <td data-label={words.used}>
                  {disk.allocatedBytes !== null && disk.sizeBytes ? (
                    <Meter
                      ratio={disk.allocatedBytes / disk.sizeBytes}
                      label={words.usedOf(disk.target)}
                      value={bytesText(disk.allocatedBytes)}
                    />
                  ) : (
                    <span class="muted">{text.unknownValue}</span>
                  )}
                </td>
                <td data-label={words.boot} class="number">
                  {vm.bootOrder.includes(disk.target) ? vm.bootOrder.indexOf(disk.target) + 1 : text.unknownValue}
                </td>
                <td class="end">
                  {disk.device === 'cdrom' && can('vm.configure') && (
                    <Button
                      isSmall
                      icon={disk.source ? 'eject' : 'image'}
                      onClick={() =>
                        (vmDialog.value = <CdromDialog vm={vm} target={disk.target} onClose={closeVmDialog} />)
                      }
                    >
                      {disk.source ? words.change : words.insert}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
