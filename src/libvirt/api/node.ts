/** The host machine: identity, capabilities, CPU and memory. */

import { P } from '../table.ts';
import type { Caller, CallOptions } from './caller.ts';

export interface NodeInfo {
  readonly cpuModel: string;
  readonly memoryKib: number;
  readonly cpus: number;
  readonly mhz: number;
  readonly numaNodes: number;
  readonly sockets: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
}

export interface CapabilityQuestion {
  readonly emulator?: string;
  readonly arch?: string;
  readonly machine?: string;
  readonly virtType?: 'kvm' | 'qemu';
}

/** How a CPU description compares with what the host can give a VM. */
export type CpuComparison = 'error' | 'incompatible' | 'identical' | 'superset';

const ALL = -1;
const CPU_COMPARISONS = ['incompatible', 'identical', 'superset'] as const;

export function createNodeApi({ call }: Caller) {
  const questionArgs = (question: CapabilityQuestion) => ({
    arch: question.arch ?? null,
    machine: question.machine ?? null,
    virttype: question.virtType ?? null,
    flags: 0,
  });

  return {
    async hostname(options?: CallOptions): Promise<string> {
      return (await call(P.connectGetHostname, {}, options)).hostname;
    },
    /** libvirt's version, as `9.0.0`. */
    async libVersion(options?: CallOptions): Promise<string> {
      const version = Number((await call(P.connectGetLibVersion, {}, options)).lib_ver);
      return `${Math.floor(version / 1_000_000)}.${Math.floor(version / 1000) % 1000}.${version % 1000}`;
    },
    async info(options?: CallOptions): Promise<NodeInfo> {
      const info = await call(P.nodeGetInfo, {}, options);
      return {
        cpuModel: info.model,
        memoryKib: Number(info.memory),
        cpus: info.cpus,
        mhz: info.mhz,
        numaNodes: info.nodes,
        sockets: info.sockets,
        coresPerSocket: info.cores,
        threadsPerCore: info.threads,
      };
    },
    /** XML. The first call can take seconds: libvirt looks at each QEMU. */
    async capabilities(options?: CallOptions): Promise<string> {
      return (await call(P.connectGetCapabilities, {}, { deadlineMs: 60_000, ...options })).capabilities;
    },
    /** XML: what one kind of VM can have on this host. */
    async domainCapabilities(question: CapabilityQuestion = {}, options?: CallOptions): Promise<string> {
      const args = { emulatorbin: question.emulator ?? null, ...questionArgs(question) };
      return (await call(P.connectGetDomainCapabilities, args, { deadlineMs: 60_000, ...options })).capabilities;
    },
    async compareCpu(xml: string, question: CapabilityQuestion = {}, options?: CallOptions): Promise<CpuComparison> {
      const args = { emulator: question.emulator ?? null, ...questionArgs(question), xmlCPU: xml };
      return CPU_COMPARISONS[(await call(P.connectCompareHypervisorCpu, args, options)).result] ?? 'error';
    },
    /** XML of a CPU that all hosts with these CPUs can give. */
    async baselineCpu(
      xmls: readonly string[],
      question: CapabilityQuestion = {},
      options?: CallOptions,
    ): Promise<string> {
      const args = { emulator: question.emulator ?? null, ...questionArgs(question), xmlCPUs: xmls };
      return (await call(P.connectBaselineHypervisorCpu, args, options)).cpu;
    },
    /** XML of the host's SMBIOS tables. */
    async sysinfo(options?: CallOptions): Promise<string> {
      return (await call(P.connectGetSysinfo, { flags: 0 }, options)).sysinfo;
    },
    async freeMemoryBytes(options?: CallOptions): Promise<number> {
      return Number((await call(P.nodeGetFreeMemory, {}, options)).freeMem);
    },
    /** Nanoseconds by kind (kernel, user, idle, iowait …), all CPUs together unless one is named. */
    async cpuStats(
      options: CallOptions & { readonly cpu?: number } = {},
    ): Promise<ReadonlyMap<string, number | bigint>> {
      const cpuNum = options.cpu ?? ALL;
      const { nparams } = await call(P.nodeGetCpuStats, { cpuNum, nparams: 0, flags: 0 }, options);
      const { params } = await call(P.nodeGetCpuStats, { cpuNum, nparams, flags: 0 }, options);
      return new Map(params.map(({ field, value }) => [field, value]));
    },
    /** KiB by kind (total, free, buffers, cached), all NUMA nodes together unless one is named. */
    async memoryStats(
      options: CallOptions & { readonly cell?: number } = {},
    ): Promise<ReadonlyMap<string, number | bigint>> {
      const cellNum = options.cell ?? ALL;
      const { nparams } = await call(P.nodeGetMemoryStats, { nparams: 0, cellNum, flags: 0 }, options);
      const { params } = await call(P.nodeGetMemoryStats, { nparams, cellNum, flags: 0 }, options);
      return new Map(params.map(({ field, value }) => [field, value]));
    },
    async cpuMap(options?: CallOptions): Promise<{ present: number; online: number; map: Uint8Array }> {
      const { cpumap, online, ret } = await call(P.nodeGetCpuMap, { need_map: 1, need_online: 1, flags: 0 }, options);
      return { present: ret, online, map: cpumap };
    },
    /** Free pages by size in one NUMA node, in the order of `pageSizesKib`. */
    async freePages(pageSizesKib: readonly number[], cell: number, options?: CallOptions): Promise<readonly bigint[]> {
      return (await call(P.nodeGetFreePages, { pages: pageSizesKib, startCell: cell, cellCount: 1, flags: 0 }, options))
        .counts;
    },
  };
}
