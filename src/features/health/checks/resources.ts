/** Is there room for VMs, and what does the hardware offer beyond the processor? */

import { formatBytes, GIB, KIB, MIB } from '#kernel/units.ts';
import { type CheckContext, type CheckDefinition, type Finding, fail, ok, unknown, warn } from '../check.ts';

const FEW_MEMORY_BYTES = GIB;
const NO_MEMORY_BYTES = 256 * MIB;

async function memory({ machine }: CheckContext): Promise<Finding> {
  const text = (await machine.readText('/proc/meminfo')) ?? '';
  const availableBytes = meminfoBytes(text, 'MemAvailable');
  const totalBytes = meminfoBytes(text, 'MemTotal');
  if (availableBytes === null || totalBytes === null)
    return unknown('The kernel does not tell how much memory is free.', 'Look at `free -m`.');
  const detail = `${formatBytes(availableBytes)} of ${formatBytes(totalBytes)} are free for VMs.`;
  if (availableBytes < NO_MEMORY_BYTES)
    return fail(detail, 'Stop something (`ps aux --sort=-rss | head`), or add memory: not even a small VM fits.');
  if (availableBytes < FEW_MEMORY_BYTES)
    return warn(detail, 'Only small VMs fit. Stop something (`ps aux --sort=-rss | head`), or add memory.');
  return ok(detail);
}

function meminfoBytes(text: string, key: string): number | null {
  const kib = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  return kib === undefined ? null : Number(kib) * KIB;
}

/** New work is refused below this; see also the pools' own watch. */
const LEAST_FREE_BYTES = 2 * GIB;

async function disk({ machine, settings }: CheckContext): Promise<Finding> {
  const { sizeBytes, freeBytes } = await machine.space(settings.stateRoot);
  const detail = `${formatBytes(freeBytes)} of ${formatBytes(sizeBytes)} are free where the state folder lies (${settings.stateRoot}).`;
  const hint = `Free space: \`du -xhd2 ${settings.stateRoot}\` shows what is large; \`hv trash list\` and \`hv image list\` show what may go.`;
  if (freeBytes < Math.max(sizeBytes * 0.05, LEAST_FREE_BYTES))
    return fail(`${detail} New disks and images are refused.`, hint);
  if (freeBytes < sizeBytes * 0.1) return warn(detail, hint);
  return ok(detail);
}

async function iommu({ machine }: CheckContext): Promise<Finding> {
  const groups = (await machine.list('/sys/kernel/iommu_groups')) ?? [];
  return groups.length > 0
    ? ok(`The IOMMU is on, with ${groups.length} groups: PCI devices can be given to VMs.`)
    : ok(
        'No IOMMU is on. It is needed only to give PCI devices to VMs (kernel parameter intel_iommu=on or amd_iommu=on).',
      );
}

async function hugepages({ machine }: CheckContext): Promise<Finding> {
  const text = (await machine.readText('/proc/meminfo')) ?? '';
  const total = Number(/^HugePages_Total:\s+(\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  const free = Number(/^HugePages_Free:\s+(\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  const sizeBytes = meminfoBytes(text, 'Hugepagesize');
  if (Number.isNaN(total) || sizeBytes === null)
    return ok('This kernel has no huge pages to reserve; VMs do not need them.');
  if (total === 0) return ok('No huge pages are reserved; VMs do not need them.');
  const reserved = `${total} huge pages of ${formatBytes(sizeBytes)} are reserved, ${free} of them free`;
  return free > total / 2 && total * sizeBytes > GIB
    ? warn(
        `${reserved}. VMs use them only when told to, so this memory is lost to all others.`,
        'Give them back unless a VM of yours uses them: `sysctl -w vm.nr_hugepages=0`.',
      )
    : ok(`${reserved}.`);
}

export const resourceChecks: readonly CheckDefinition[] = [
  {
    id: 'memory.free',
    title: 'Free memory',
    meaning: 'How much memory VMs can still get. Warns below 1 GiB, fails below 256 MiB.',
    run: memory,
  },
  {
    id: 'disk.free',
    title: 'Free disk space',
    meaning:
      'Free space where the state folder lies. Warns below 10 %, fails below 5 % or 2 GiB, whichever is more: then new work is refused.',
    run: disk,
  },
  {
    id: 'iommu.groups',
    title: 'IOMMU',
    meaning: 'Whether PCI devices can be given to VMs. Nothing else needs it.',
    run: iommu,
  },
  {
    id: 'memory.hugepages',
    title: 'Huge pages',
    meaning: 'Whether memory is set aside as huge pages, and perhaps wasted.',
    run: hugepages,
  },
];
