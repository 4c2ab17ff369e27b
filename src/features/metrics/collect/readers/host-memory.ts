/** What the kernel does with the pages of the machine: equal ones kept once (KSM, Documentation/admin-guide/mm/ksm.rst), huge ones set
 *  aside (hugetlbpage.rst) or made by itself (transhuge.rst). */

import { type KernelFiles, numberIn, type PageSize } from '../kernel-files.ts';
import type { Collector, Owner } from '../measuring.ts';
import type { RawSource } from '../raw-families.ts';

const KSM = '/sys/kernel/mm/ksm';
const HUGE = '/sys/kernel/mm/hugepages';
const POOL = /^hugepages-(\d+)kB$/;
const KIB = 1024;

/** Huge pages of one size that are set aside. */
export interface HugePages {
  readonly pageBytes: number;
  readonly pages: number;
  /** Not in use, and not promised to anybody. */
  readonly freePages: number;
}

/** By size of the page; sizes of which there are none are left out. */
export async function readHugePages(files: KernelFiles): Promise<readonly HugePages[]> {
  const pools: HugePages[] = [];
  for (const folder of await files.list(HUGE)) {
    const kib = POOL.exec(folder)?.[1];
    const read = async (name: string) => numberIn(await files.read(`${HUGE}/${folder}/${name}`));
    const [pages, free, promised] = [
      await read('nr_hugepages'),
      await read('free_hugepages'),
      await read('resv_hugepages'),
    ];
    if (kib === undefined || pages === null || pages === 0 || free === null || promised === null) continue;
    pools.push({ pageBytes: Number(kib) * KIB, pages, freePages: Math.max(0, free - promised) });
  }
  return pools;
}

/** Bytes in transparent huge pages, from /proc/meminfo; null where the kernel makes none. */
export function transparentHugeBytes(meminfo: string | null): number | null {
  const kib = /^AnonHugePages:\s+(\d+) kB$/m.exec(meminfo ?? '')?.[1];
  return kib === undefined ? null : Number(kib) * KIB;
}

export function createHostMemory({
  host,
  files,
  pageSize,
}: {
  readonly host: Owner;
  readonly files: KernelFiles;
  readonly pageSize: PageSize;
}): Collector & { readonly raw: RawSource } {
  let ksmSavedBytes: number | null = null;
  let pools: readonly HugePages[] = [];

  return {
    name: 'host-memory',
    async collect(sink) {
      const put = (metric: Parameters<typeof sink.put>[3], value: number | null) =>
        sink.put(host, 'host', '', metric, value);
      // Each place beyond the first that uses a shared page is one page saved.
      const saved = numberIn(await files.read(`${KSM}/pages_sharing`));
      const pageBytes = await pageSize();
      ksmSavedBytes = saved === null || pageBytes === null ? null : saved * pageBytes;
      put('ksm_saved', ksmSavedBytes);
      pools = await readHugePages(files);
      if (pools.length > 0) {
        const sizeBytes = pools.reduce((sum, pool) => sum + pool.pages * pool.pageBytes, 0);
        const freeBytes = pools.reduce((sum, pool) => sum + pool.freePages * pool.pageBytes, 0);
        put('hugepage_size', sizeBytes);
        put('hugepage_free', freeBytes);
        put('hugepage_usage', 1 - freeBytes / sizeBytes);
      }
      put('mem_huge', transparentHugeBytes(await files.read('/proc/meminfo')));
    },
    raw(sink) {
      sink.add('hyper_host_ksm_saved_bytes', {}, ksmSavedBytes);
      for (const { pageBytes, pages, freePages } of pools) {
        const labels = { page_bytes: String(pageBytes) };
        sink.add('hyper_host_hugepages_size_bytes', labels, pages * pageBytes);
        sink.add('hyper_host_hugepages_free_bytes', labels, freePages * pageBytes);
      }
    },
  };
}
