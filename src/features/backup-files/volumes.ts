/** What the appliance finds on the disks, as volumes that can be read or with the reason why not. */

import type { FileVolume } from '#contract/backup-files.ts';
import { textOfName } from './names.ts';

export interface FoundVolume extends FileVolume {
  /** In the appliance. */
  readonly device: string;
}

const READABLE: ReadonlySet<string> = new Set([
  'ext2',
  'ext3',
  'ext4',
  'xfs',
  'btrfs',
  'vfat',
  'exfat',
  'ntfs',
  'iso9660',
  'udf',
]);

/** Why others cannot be, for people. */
const NOTES: Readonly<Record<string, string>> = {
  crypto_LUKS: 'It is encrypted (LUKS), and its key is in the guest alone.',
  BitLocker: 'It is encrypted (BitLocker), and its key is in the guest alone.',
  LVM2_member: 'It is a part of a volume group: its logical volumes are listed by themselves.',
  linux_raid_member: 'It is a part of a RAID array, which is not put together here.',
  zfs_member: 'It is a part of a ZFS pool, which cannot be read here.',
  swap: 'It is swap space.',
};

/** A row of the agent's scan: device, disk, number or logical volume, bytes, type, usage, label, table, remark. */
export function volumeOf(row: Buffer): FoundVolume | null {
  const fields: Buffer[] = [];
  for (let from = 0; from <= row.length; ) {
    const at = row.indexOf(0, from);
    const end = at < 0 ? row.length : at;
    fields.push(row.subarray(from, end));
    from = end + 1;
  }
  const [device = '', disk = '', number = '', bytes = '', kind = '', , label = '', table = '', remark = ''] =
    fields.map((field) => textOfName(field));
  const isDisk = /^[A-Za-z0-9_-]{1,20}$/.test(disk);
  const id =
    isDisk && /^\d*$/.test(number) ? partitionId(disk, number) : !isDisk && isVolumeName(number) ? number : null;
  if (id === null || !/^\/dev\/[\w/+.-]{1,300}$/.test(device) || !/^[\w.-]{0,40}$/.test(kind)) return null;
  // A disk with a table is told by its partitions.
  if (table !== '' && kind === '') return null;
  const isReadable = READABLE.has(kind);
  return {
    id,
    device,
    disk: isDisk ? disk : null,
    kind,
    label: label.replace(/\\x5cx([0-9a-f]{2})/g, (_all, hex: string) => textOfName(Buffer.from(hex, 'hex'))),
    sizeBytes: /^\d{1,15}$/.test(bytes) ? Number(bytes) : 0,
    isReadable,
    note: isReadable ? null : noteOf(kind, remark),
  };
}

/** As the kernel does: a number after a digit would be read as one with it. */
const partitionId = (disk: string, number: string) =>
  number !== '' && /\d$/.test(disk) ? `${disk}p${number}` : `${disk}${number}`;

const isVolumeName = (text: string) =>
  /^[A-Za-z0-9+_.][A-Za-z0-9+_.-]*\/[A-Za-z0-9+_.-]+$/.test(text) && text.length <= 260;

function noteOf(kind: string, remark: string): string {
  if (remark === 'ambiguous') return 'It shows marks of several file systems; which one counts cannot be told.';
  if (kind === '') return 'Nothing that is known lies on it.';
  return NOTES[kind] ?? `File systems of the kind ${kind} cannot be read here.`;
}
