/** Disks and drives of a VM. */

import type { Vm } from '#contract/vms.ts';
import { Button } from '../../components/button.tsx';
import { bytesText, Meter } from '../../components/figures.tsx';
import { Card, EmptyState } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
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
      <StackTable
        rows={vm.disks}
        keyOf={(disk) => disk.target}
        columns={[
          { head: words.target, kind: 'title', class: 'mono', cell: (disk) => disk.target },
          {
            head: words.device,
            isSelfEvident: true,
            cell: (disk) => [text.devices[disk.device], disk.bus, disk.format].filter(Boolean).join(' · '),
          },
          {
            head: words.source,
            class: 'mono breaks',
            cell: (disk) => disk.source ?? <span class="muted">{words.empty}</span>,
          },
          { head: words.size, kind: 'number', cell: (disk) => bytesText(disk.sizeBytes) },
          {
            head: words.used,
            cell: (disk) =>
              disk.allocatedBytes !== null && disk.sizeBytes ? (
                <Meter
                  ratio={disk.allocatedBytes / disk.sizeBytes}
                  label={words.usedOf(disk.target)}
                  value={bytesText(disk.allocatedBytes)}
                />
              ) : (
                <span class="muted">{text.unknownValue}</span>
              ),
          },
          {
            head: words.boot,
            kind: 'number',
            cell: (disk) =>
              vm.bootOrder.includes(disk.target) ? vm.bootOrder.indexOf(disk.target) + 1 : text.unknownValue,
          },
          {
            head: text.vms.actions,
            kind: 'actions',
            cell: (disk) =>
              disk.device === 'cdrom' &&
              can('vm.configure') && (
                <Button
                  isSmall
                  icon={disk.source ? 'eject' : 'image'}
                  onClick={() =>
                    (vmDialog.value = <CdromDialog vm={vm} target={disk.target} onClose={closeVmDialog} />)
                  }
                >
                  {disk.source ? words.change : words.insert}
                </Button>
              ),
          },
        ]}
      />
    </Card>
  );
}
