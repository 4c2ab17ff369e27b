/** How full the file systems of the machine are. Format of the list: proc(5), /proc/self/mountinfo. */

import type { FileSystemSpace, Space } from '../file-system-space.ts';
import type { KernelFiles } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { SlowReader } from '../slow-reader.ts';

const MAX_MOUNTS = 64;
const NETWORK_TYPES = /^(nfs4?|cifs|smb3|ceph|9p|virtiofs|gfs2|ocfs2|lustre|fuse\..+)$/;
const DISKLESS_TYPES: ReadonlySet<string> = new Set(['zfs', 'btrfs', 'bcachefs']);
/** Made once and full for ever. */
const IMAGE_TYPES: ReadonlySet<string> = new Set(['squashfs', 'iso9660', 'udf', 'erofs', 'cramfs', 'romfs']);

export interface Mount {
  readonly path: string;
  readonly type: string;
  readonly isLocal: boolean;
}

/** File systems that can run full, each once, by its first mount point. */
export function mountsOf(mountinfo: string): readonly Mount[] {
  const found = new Map<string, Mount>();
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const [, , device, root, mountPoint] = before?.split(' ') ?? [];
    const [type, source] = after?.split(' ') ?? [];
    if (device === undefined || mountPoint === undefined || type === undefined || source === undefined) continue;
    const path = unescapeMount(mountPoint);
    const isLocal = !NETWORK_TYPES.test(type);
    const hasDisk = source.startsWith('/dev/') || DISKLESS_TYPES.has(type) || !isLocal || path === '/';
    if (!hasDisk || IMAGE_TYPES.has(type)) continue;
    // Parts of a btrfs have a device number each and share their space; a folder or file bound elsewhere is the same file system.
    const key = type === 'btrfs' ? source : device;
    const known = found.get(key);
    if (known === undefined || (root === '/' && path.length < known.path.length))
      found.set(key, { path, type, isLocal });
  }
  return [...found.values()].slice(0, MAX_MOUNTS);
}

function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

export function fileSystemsReader(
  host: Owner,
  files: KernelFiles,
  space: FileSystemSpace,
): SlowReader<readonly { readonly path: string; readonly space: Space }[]> {
  return {
    name: 'file systems',
    periodMs: 60_000,
    async read() {
      const mounts = mountsOf((await files.read('/proc/self/mountinfo')) ?? '');
      const looks: { path: string; space: Space }[] = [];
      for (const { path, isLocal } of mounts) {
        const found = await space.look(path, isLocal);
        if (found !== null && found.sizeBytes > 0) looks.push({ path, space: found });
      }
      return looks;
    },
    put(sink, looks) {
      for (const { path, space: found } of looks) {
        const sub = labelOf(path);
        sink.put(host, 'fs', sub, 'disk_size', found.sizeBytes);
        sink.put(host, 'fs', sub, 'disk_used', found.usedBytes);
        sink.put(host, 'fs', sub, 'disk_free', found.freeBytes);
        sink.put(host, 'fs', sub, 'disk_usage', usageOf(found));
        sink.put(host, 'fs', sub, 'inode_usage', found.files > 0 ? 1 - found.freeFiles / found.files : null);
      }
    },
  };
}

/** As df counts: of what programs may use. */
export function usageOf({ usedBytes, freeBytes }: Pick<Space, 'usedBytes' | 'freeBytes'>): number | null {
  const usable = usedBytes + freeBytes;
  return usable > 0 ? usedBytes / usable : null;
}
