/** Domains: list, define, power, devices, tuning, console and screen. Addressed by UUID; libvirt matches by nothing else. */

import type { TypedParam } from '../codec.ts';
import { LibvirtError } from '../errors.ts';
import type { LibvirtStream } from '../stream.ts';
import { P } from '../table.ts';
import {
  type Caller,
  type CallOptions,
  flagsOf,
  type Impact,
  impactFlags,
  JOB_DEADLINE_MS,
  LIST_DEADLINE_MS,
} from './caller.ts';

/** The id is that of the running instance, null when it is off. */
export interface DomainRef {
  readonly uuid: string;
  readonly name: string;
  readonly id: number | null;
}

export const DOMAIN_STATES = [
  'none',
  'running',
  'blocked',
  'paused',
  'shutting-down',
  'off',
  'crashed',
  'suspended',
] as const;
export type DomainState = (typeof DOMAIN_STATES)[number];

export interface DomainInfo {
  readonly state: DomainState;
  readonly maxMemoryKib: number;
  readonly memoryKib: number;
  readonly vcpus: number;
  readonly cpuTimeNs: bigint;
}

export interface CreateOptions extends CallOptions {
  readonly paused?: boolean;
  readonly forceBoot?: boolean;
  readonly bypassCache?: boolean;
  readonly resetNvram?: boolean;
}

export interface UndefineOptions extends CallOptions {
  /** What else libvirt keeps of the domain: deleted, or kept where libvirt can keep it. */
  readonly leftovers: 'delete' | 'keep';
}

export interface Screenshot {
  readonly mime: string;
  readonly bytes: Buffer;
}

/** The wire form of a domain; the server looks at the UUID alone. */
export function domainOf(uuid: string): { name: string; uuid: string; id: number } {
  return { name: '', uuid, id: -1 };
}

export function domainRef(dom: { readonly name: string; readonly uuid: string; readonly id: number }): DomainRef {
  return { uuid: dom.uuid, name: dom.name, id: dom.id < 0 ? null : dom.id };
}

export function domainStateOf(state: number): DomainState {
  return DOMAIN_STATES[state] ?? 'none';
}

const MAX_SCREENSHOT_BYTES = 64 * 2 ** 20;
const VALIDATE = 1;
const LIST = { active: 1, inactive: 2, persistent: 4, transient: 8, autostart: 1 << 10, noAutostart: 1 << 11 } as const;
const UNDEFINE = {
  managedSave: 1,
  snapshots: 2,
  nvram: 4,
  keepNvram: 8,
  checkpoints: 16,
  tpm: 32,
  keepTpm: 64,
} as const;

export function createDomainApi({ call, callLong, openStream }: Caller) {
  async function undefine(uuid: string, options: UndefineOptions): Promise<void> {
    const base = UNDEFINE.managedSave | UNDEFINE.snapshots | UNDEFINE.checkpoints;
    const isDelete = options.leftovers === 'delete';
    const nvram = isDelete ? UNDEFINE.nvram : UNDEFINE.keepNvram;
    const tpm = isDelete ? UNDEFINE.tpm : UNDEFINE.keepTpm;
    const attempt = (flags: number) => call(P.domainUndefineFlags, { dom: domainOf(uuid), flags }, options);
    try {
      await attempt(base | nvram | tpm);
    } catch (error) {
      // libvirt before 8.9 and drivers without TPM do not know the TPM bits, some drivers none at all.
      if (!isUnsupportedFlag(error)) throw error;
      await attempt(base | nvram).catch((second: unknown) => {
        if (!isUnsupportedFlag(second)) throw second;
        return attempt(0);
      });
    }
  }

  return {
    /** All domains, or those that pass every filter given. */
    async list(
      options: CallOptions & {
        readonly active?: boolean;
        readonly persistent?: boolean;
        readonly autostart?: boolean;
      } = {},
    ): Promise<DomainRef[]> {
      const flags = flagsOf(
        options.active !== undefined && (options.active ? LIST.active : LIST.inactive),
        options.persistent !== undefined && (options.persistent ? LIST.persistent : LIST.transient),
        options.autostart !== undefined && (options.autostart ? LIST.autostart : LIST.noAutostart),
      );
      const { domains } = await call(
        P.connectListAllDomains,
        { need: 1, flags },
        { deadlineMs: LIST_DEADLINE_MS, ...options },
      );
      return domains.map(domainRef);
    },
    async byUuid(uuid: string, options?: CallOptions): Promise<DomainRef> {
      return domainRef((await call(P.domainLookupByUuid, { uuid }, options)).dom);
    },
    async byName(name: string, options?: CallOptions): Promise<DomainRef> {
      return domainRef((await call(P.domainLookupByName, { name }, options)).dom);
    },
    /** Stores a definition, new or in place of the one with its UUID. Checked against libvirt's schema unless told otherwise. */
    async define(xml: string, options: CallOptions & { readonly validate?: boolean } = {}): Promise<DomainRef> {
      return domainRef(
        (await call(P.domainDefineXmlFlags, { xml, flags: options.validate === false ? 0 : VALIDATE }, options)).dom,
      );
    },
    undefine,
    /** Starts a defined domain. @param options.deadlineMs default 60,000 @returns the running instance's id */
    async create(uuid: string, options: CreateOptions = {}): Promise<number> {
      return (
        await call(
          P.domainCreateWithFlags,
          { dom: domainOf(uuid), flags: createFlags(options) },
          { deadlineMs: 60_000, ...options },
        )
      ).dom.id;
    },
    /** Starts a domain that is not stored. */
    async createTransient(xml: string, options: CreateOptions = {}): Promise<DomainRef> {
      return domainRef(
        (await call(P.domainCreateXml, { xml, flags: createFlags(options) }, { deadlineMs: 60_000, ...options })).dom,
      );
    },
    /** `secure` includes passwords: for redefining only, never for logs. */
    async xml(
      uuid: string,
      options: CallOptions & {
        readonly inactive?: boolean;
        readonly secure?: boolean;
        readonly migratable?: boolean;
      } = {},
    ): Promise<string> {
      const flags = flagsOf(options.secure && 1, options.inactive && 2, options.migratable && 8);
      return (await call(P.domainGetXmlDesc, { dom: domainOf(uuid), flags }, options)).xml;
    },
    async info(uuid: string, options?: CallOptions): Promise<DomainInfo> {
      const info = await call(P.domainGetInfo, { dom: domainOf(uuid) }, options);
      return {
        state: domainStateOf(info.state),
        maxMemoryKib: Number(info.maxMem),
        memoryKib: Number(info.memory),
        vcpus: info.nrVirtCpu,
        cpuTimeNs: info.cpuTime,
      };
    },
    /** Answers even when libvirt's workers hang. */
    async state(uuid: string, options?: CallOptions): Promise<{ state: DomainState; reason: number }> {
      const { state, reason } = await call(P.domainGetState, { dom: domainOf(uuid), flags: 0 }, options);
      return { state: domainStateOf(state), reason };
    },
    /** Whether the connection to QEMU's monitor is usable: ok, job, occupied (for `sinceMs`), error. */
    async controlInfo(
      uuid: string,
      options?: CallOptions,
    ): Promise<{ control: 'ok' | 'job' | 'occupied' | 'error'; sinceMs: number }> {
      const { state, stateTime } = await call(P.domainGetControlInfo, { dom: domainOf(uuid), flags: 0 }, options);
      return { control: (['ok', 'job', 'occupied', 'error'] as const)[state] ?? 'error', sinceMs: Number(stateTime) };
    },
    async suspend(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.domainSuspend, { dom: domainOf(uuid) }, options);
    },
    async resume(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.domainResume, { dom: domainOf(uuid) }, options);
    },
    /** Asks the guest to shut down; returns when it was asked, not when it is off. */
    async shutdown(uuid: string, options: CallOptions & { readonly by?: 'acpi' | 'agent' } = {}): Promise<void> {
      await call(P.domainShutdownFlags, { dom: domainOf(uuid), flags: powerWay(options.by) }, options);
    },
    async reboot(uuid: string, options: CallOptions & { readonly by?: 'acpi' | 'agent' } = {}): Promise<void> {
      await call(P.domainReboot, { dom: domainOf(uuid), flags: powerWay(options.by) }, options);
    },
    async reset(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.domainReset, { dom: domainOf(uuid), flags: 0 }, options);
    },
    /** Turns the power off. `graceful`: only if QEMU ends by itself, so that its caches are written. */
    async destroy(uuid: string, options: CallOptions & { readonly graceful?: boolean } = {}): Promise<void> {
      await call(
        P.domainDestroyFlags,
        { dom: domainOf(uuid), flags: flagsOf(options.graceful && 1) },
        { deadlineMs: 30_000, ...options },
      );
    },
    /** Saves memory to disk and turns it off; the next create goes on from there. */
    async managedSave(uuid: string, options: CallOptions & { readonly bypassCache?: boolean } = {}): Promise<void> {
      await callLong(
        P.domainManagedSave,
        { dom: domainOf(uuid), flags: flagsOf(options.bypassCache && 1) },
        { deadlineMs: JOB_DEADLINE_MS, ...options },
      );
    },
    async hasManagedSave(uuid: string, options?: CallOptions): Promise<boolean> {
      return (await call(P.domainHasManagedSaveImage, { dom: domainOf(uuid), flags: 0 }, options)).result === 1;
    },
    async removeManagedSave(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.domainManagedSaveRemove, { dom: domainOf(uuid), flags: 0 }, options);
    },
    /** Only while it is off. */
    async rename(uuid: string, newName: string, options?: CallOptions): Promise<void> {
      await call(P.domainRename, { dom: domainOf(uuid), new_name: newName, flags: 0 }, options);
    },
    async autostart(uuid: string, options?: CallOptions): Promise<boolean> {
      return (await call(P.domainGetAutostart, { dom: domainOf(uuid) }, options)).autostart !== 0;
    },
    /** False for a guest that exists only while it runs. */
    async isPersistent(uuid: string, options?: CallOptions): Promise<boolean> {
      return (await call(P.domainIsPersistent, { dom: domainOf(uuid) }, options)).persistent !== 0;
    },
    async setAutostart(uuid: string, autostart: boolean, options?: CallOptions): Promise<void> {
      await call(P.domainSetAutostart, { dom: domainOf(uuid), autostart: autostart ? 1 : 0 }, options);
    },
    /** An element of our own in the definition, without namespace or prefix: libvirt adds them from `uri` and `key`. null removes it. */
    async setMetadata(
      uuid: string,
      metadata: string | null,
      options: CallOptions & Impact & { readonly key: string; readonly uri: string },
    ): Promise<void> {
      const flags = impactFlags(options);
      await call(
        P.domainSetMetadata,
        { dom: domainOf(uuid), type: 2, metadata, key: options.key, uri: options.uri, flags },
        options,
      );
    },
    async metadata(uuid: string, uri: string, options: CallOptions & Impact = {}): Promise<string> {
      return (
        await call(P.domainGetMetadata, { dom: domainOf(uuid), type: 2, uri, flags: impactFlags(options) }, options)
      ).metadata;
    },
    async setText(
      uuid: string,
      field: 'description' | 'title',
      text: string | null,
      options: CallOptions & Impact = {},
    ): Promise<void> {
      const type = field === 'description' ? 0 : 1;
      await call(
        P.domainSetMetadata,
        { dom: domainOf(uuid), type, metadata: text, key: null, uri: null, flags: impactFlags(options) },
        options,
      );
    },
    async attachDevice(uuid: string, xml: string, options: CallOptions & Impact = {}): Promise<void> {
      await call(P.domainAttachDeviceFlags, { dom: domainOf(uuid), xml, flags: impactFlags(options) }, options);
    },
    async detachDevice(uuid: string, xml: string, options: CallOptions & Impact = {}): Promise<void> {
      await call(P.domainDetachDeviceFlags, { dom: domainOf(uuid), xml, flags: impactFlags(options) }, options);
    },
    async detachDeviceByAlias(uuid: string, alias: string, options: CallOptions & Impact = {}): Promise<void> {
      await call(P.domainDetachDeviceAlias, { dom: domainOf(uuid), alias, flags: impactFlags(options) }, options);
    },
    async updateDevice(uuid: string, xml: string, options: CallOptions & Impact = {}): Promise<void> {
      await call(P.domainUpdateDeviceFlags, { dom: domainOf(uuid), xml, flags: impactFlags(options) }, options);
    },
    async setVcpus(
      uuid: string,
      vcpus: number,
      options: CallOptions & Impact & { readonly maximum?: boolean } = {},
    ): Promise<void> {
      await call(
        P.domainSetVcpusFlags,
        { dom: domainOf(uuid), nvcpus: vcpus, flags: flagsOf(impactFlags(options), options.maximum && 4) },
        options,
      );
    },
    async setMemory(
      uuid: string,
      memoryKib: number,
      options: CallOptions & Impact & { readonly maximum?: boolean } = {},
    ): Promise<void> {
      const flags = flagsOf(impactFlags(options), options.maximum && 4);
      await call(P.domainSetMemoryFlags, { dom: domainOf(uuid), memory: BigInt(memoryKib), flags }, options);
    },
    async setMemoryStatsPeriod(uuid: string, seconds: number, options: CallOptions & Impact = {}): Promise<void> {
      await call(
        P.domainSetMemoryStatsPeriod,
        { dom: domainOf(uuid), period: seconds, flags: impactFlags(options) },
        options,
      );
    },
    /** @param cpuMap one bit per host CPU, lowest bit of the first byte is CPU 0 */
    async pinVcpu(uuid: string, vcpu: number, cpuMap: Uint8Array, options: CallOptions & Impact = {}): Promise<void> {
      await call(
        P.domainPinVcpuFlags,
        { dom: domainOf(uuid), vcpu, cpumap: cpuMap, flags: impactFlags(options) },
        options,
      );
    },
    async setScheduler(uuid: string, params: readonly TypedParam[], options: CallOptions & Impact = {}): Promise<void> {
      await call(
        P.domainSetSchedulerParametersFlags,
        { dom: domainOf(uuid), params, flags: impactFlags(options) },
        options,
      );
    },
    async setBlkio(uuid: string, params: readonly TypedParam[], options: CallOptions & Impact = {}): Promise<void> {
      await call(P.domainSetBlkioParameters, { dom: domainOf(uuid), params, flags: impactFlags(options) }, options);
    },
    async setBlockIoTune(
      uuid: string,
      disk: string,
      params: readonly TypedParam[],
      options: CallOptions & Impact = {},
    ): Promise<void> {
      await call(P.domainSetBlockIoTune, { dom: domainOf(uuid), disk, params, flags: impactFlags(options) }, options);
    },
    async blockIoTune(uuid: string, disk: string, options: CallOptions & Impact = {}): Promise<readonly TypedParam[]> {
      const flags = flagsOf(impactFlags(options), STRINGS_OKAY);
      const { nparams } = await call(P.domainGetBlockIoTune, { dom: domainOf(uuid), disk, nparams: 0, flags }, options);
      return (await call(P.domainGetBlockIoTune, { dom: domainOf(uuid), disk, nparams, flags }, options)).params;
    },
    async setInterfaceParameters(
      uuid: string,
      device: string,
      params: readonly TypedParam[],
      options: CallOptions & Impact = {},
    ): Promise<void> {
      await call(
        P.domainSetInterfaceParameters,
        { dom: domainOf(uuid), device, params, flags: impactFlags(options) },
        options,
      );
    },
    async setBlockThreshold(uuid: string, disk: string, thresholdBytes: bigint, options?: CallOptions): Promise<void> {
      await call(
        P.domainSetBlockThreshold,
        { dom: domainOf(uuid), dev: disk, threshold: thresholdBytes, flags: 0 },
        options,
      );
    },
    /** Presses all keys together and lets them go. Codes are Linux key codes (input-event-codes.h), at most 16. */
    async sendKey(
      uuid: string,
      linuxKeyCodes: readonly number[],
      options: CallOptions & { readonly holdMs?: number } = {},
    ): Promise<void> {
      await call(
        P.domainSendKey,
        { dom: domainOf(uuid), codeset: 0, holdtime: options.holdMs ?? 50, keycodes: linuxKeyCodes, flags: 0 },
        options,
      );
    },
    async blockInfo(
      uuid: string,
      disk: string,
      options?: CallOptions,
    ): Promise<{ allocationBytes: bigint; capacityBytes: bigint; physicalBytes: bigint }> {
      const info = await call(P.domainGetBlockInfo, { dom: domainOf(uuid), path: disk, flags: 0 }, options);
      return { allocationBytes: info.allocation, capacityBytes: info.capacity, physicalBytes: info.physical };
    },
    async diskErrors(
      uuid: string,
      options?: CallOptions,
    ): Promise<readonly { disk: string; error: 'none' | 'unspecified' | 'no-space' }[]> {
      const { nerrors } = await call(P.domainGetDiskErrors, { dom: domainOf(uuid), maxerrors: 0, flags: 0 }, options);
      if (nerrors <= 0) return [];
      const { errors } = await call(
        P.domainGetDiskErrors,
        { dom: domainOf(uuid), maxerrors: nerrors, flags: 0 },
        options,
      );
      return errors.map(({ disk, error }) => ({
        disk,
        error: (['none', 'unspecified', 'no-space'] as const)[error] ?? 'unspecified',
      }));
    },
    /** Bytes both ways with the guest's serial port (first one unless named). `force` takes it from who has it.
     *  Destroy or end the stream to let it go. @throws LibvirtError busy, wrong_state */
    async openConsole(
      uuid: string,
      options: CallOptions & { readonly device?: string; readonly force?: boolean } = {},
    ): Promise<LibvirtStream> {
      const args = { dom: domainOf(uuid), dev_name: options.device ?? null, flags: flagsOf(options.force && 1) };
      return (await openStream(P.domainOpenConsole, args, options)).stream;
    },
    /** Bytes both ways with a virtio channel of the guest. */
    async openChannel(
      uuid: string,
      name: string,
      options: CallOptions & { readonly force?: boolean } = {},
    ): Promise<LibvirtStream> {
      return (
        await openStream(
          P.domainOpenChannel,
          { dom: domainOf(uuid), name, flags: flagsOf(options.force && 1) },
          options,
        )
      ).stream;
    },
    /** A picture of the screen, PNG or PPM as the host likes. @throws LibvirtError for VMs without a screen */
    async screenshot(uuid: string, options: CallOptions & { readonly screen?: number } = {}): Promise<Screenshot> {
      const args = { dom: domainOf(uuid), screen: options.screen ?? 0, flags: 0 };
      const { stream, result } = await openStream(P.domainScreenshot, args, options);
      return { mime: result.mime ?? 'application/octet-stream', bytes: await collect(stream, options) };
    },
  };
}

const STRINGS_OKAY = 4;

function createFlags(options: CreateOptions): number {
  return flagsOf(options.paused && 1, options.bypassCache && 4, options.forceBoot && 8, options.resetNvram && 32);
}

function powerWay(by: 'acpi' | 'agent' | undefined): number {
  if (by === undefined) return 0;
  return by === 'acpi' ? 1 : 2;
}

function isUnsupportedFlag(error: unknown): boolean {
  return (
    error instanceof LibvirtError &&
    (error.failure?.code === 8 || error.failure?.code === 74 || error.failure?.code === 3)
  );
}

/** All bytes of a finite stream, bounded in size and time. */
async function collect(stream: LibvirtStream, { deadlineMs = 10_000, signal }: CallOptions): Promise<Buffer> {
  const timeout = setTimeout(
    () =>
      stream.destroy(
        new LibvirtError('libvirt_unavailable', { procedure: 'STREAM', detail: 'The stream took too long.' }),
      ),
    deadlineMs,
  );
  const onAbort = () => stream.destroy(new LibvirtError('cancelled', { procedure: 'STREAM', cause: signal?.reason }));
  signal?.addEventListener('abort', onAbort, { once: true });
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of stream) {
      if (!Buffer.isBuffer(part)) continue;
      size += part.length;
      if (size > MAX_SCREENSHOT_BYTES)
        throw new LibvirtError('libvirt_failed', { procedure: 'STREAM', detail: 'The picture is too large.' });
      parts.push(part);
    }
    return Buffer.concat(parts);
  } finally {
    clearTimeout(timeout);
    signal?.removeEventListener('abort', onAbort);
  }
}
