/** Writes the archive format of Linux initial memory disks: cpio "newc" (kernel documentation, driver-api/early-userspace/buffer-format). */

export type ArchiveEntry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'file'; readonly path: string; readonly content: Uint8Array; readonly mode?: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

const TYPE_BITS = { folder: 0o040000, file: 0o100000, link: 0o120000 } as const;

/** Packs `entries` in their order; missing parent folders are added. Paths are relative, as `etc/inittab`.
 *  Owner is root and all times are 0, so that the same entries give the same bytes. */
export function packCpio(entries: readonly ArchiveEntry[]): Buffer {
  const parts: Buffer[] = [];
  const folders = new Set<string>();
  let inode = 1;
  const append = (entry: ArchiveEntry) => {
    parts.push(record(entry, inode));
    inode += 1;
  };
  for (const entry of entries) {
    for (const folder of parentsOf(entry.path)) {
      if (folders.has(folder)) continue;
      folders.add(folder);
      append({ kind: 'folder', path: folder });
    }
    if (entry.kind === 'folder') {
      if (folders.has(entry.path)) continue;
      folders.add(entry.path);
    }
    append(entry);
  }
  parts.push(record({ kind: 'file', path: 'TRAILER!!!', content: new Uint8Array(), mode: 0 }, 0));
  return Buffer.concat(parts);
}

function record(entry: ArchiveEntry, inode: number): Buffer {
  const name = Buffer.from(`${entry.path}\0`);
  const content = contentOf(entry);
  const fields = [inode, modeOf(entry), 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([aligned(Buffer.concat([Buffer.from(header), name])), aligned(content)]);
}

function contentOf(entry: ArchiveEntry): Buffer {
  if (entry.kind === 'folder') return Buffer.alloc(0);
  return entry.kind === 'link' ? Buffer.from(entry.target) : Buffer.from(entry.content);
}

function modeOf(entry: ArchiveEntry): number {
  if (entry.kind === 'link') return TYPE_BITS.link | 0o777;
  return TYPE_BITS[entry.kind] | (entry.mode ?? (entry.kind === 'folder' ? 0o755 : 0o644));
}

function aligned(bytes: Buffer): Buffer {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}

function parentsOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}
