/** What guest agents tell: that they live, and how full the file systems of their guests are. Asked beside the ticks, each VM once a
 *  minute. The guest is not trusted: what it says is capped in size, number and length, and is text of unknown content. */

import type { Vm } from '#contract/vms.ts';
import { mapLimit } from '#kernel/async.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { labelOf } from '../names.ts';
import type { SlowReader } from '../slow-reader.ts';
import { numberOf, textOf, type Values } from './stat-values.ts';

const PARALLEL_QUESTIONS = 2;
/** How long libvirt waits for the guest; without this it waits for ever. */
const RESPONSE_SECONDS = 5;
const MAX_ANSWER_BYTES = 2 ** 20;
const MAX_MOUNTS = 32;
/** Told of by agents, and full for ever. */
const IMAGE_TYPES = /^(squashfs|iso9660|udf|erofs|cramfs|cdfs)$/i;

export interface GuestFileSystem {
  readonly mount: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
}

export interface GuestAnswer {
  readonly isUp: boolean;
  readonly system: string | null;
  readonly fileSystems: readonly GuestFileSystem[];
}

const DOWN: GuestAnswer = { isUp: false, system: null, fileSystems: [] };

/** File systems with their sizes, from the answer to `domainGetGuestInfo`. */
export function guestFileSystems(values: Values): readonly GuestFileSystem[] {
  const found = new Map<string, GuestFileSystem>();
  // Twice as many looked at as are kept: images among them are left out.
  const count = Math.min(numberOf(values, 'fs.count') ?? 0, MAX_MOUNTS * 2);
  for (let n = 0; n < count && found.size < MAX_MOUNTS; n += 1) {
    const mount = labelOf(textOf(values, `fs.${n}.mountpoint`) ?? '');
    const sizeBytes = numberOf(values, `fs.${n}.total-bytes`);
    const usedBytes = numberOf(values, `fs.${n}.used-bytes`);
    const isImage = IMAGE_TYPES.test(textOf(values, `fs.${n}.fstype`) ?? '');
    if (mount === '' || isImage || sizeBytes === null || usedBytes === null || sizeBytes <= 0) continue;
    if (!found.has(mount))
      found.set(mount, { mount, sizeBytes, usedBytes: Math.min(Math.max(0, usedBytes), sizeBytes) });
  }
  return [...found.values()];
}

/** @throws Error for more than a guest may say */
export function guestAnswer(values: Values): GuestAnswer {
  let bytes = 0;
  for (const [name, value] of values) bytes += name.length + (typeof value === 'string' ? Buffer.byteLength(value) : 8);
  if (bytes > MAX_ANSWER_BYTES) throw new Error(`the agent said ${bytes} bytes; ${MAX_ANSWER_BYTES} are taken`);
  const system = textOf(values, 'os.pretty-name');
  return { isUp: true, system: system === null ? null : labelOf(system), fileSystems: guestFileSystems(values) };
}

export interface GuestAgentPorts {
  readonly log: Logger;
  /** VMs that run. */
  vms(): readonly Pick<Vm, 'id' | 'agent' | 'startedAt'>[];
  setResponseTimeout(uuid: string, seconds: number): Promise<void>;
  guestInfo(uuid: string): Promise<Values>;
}

export function guestAgentsReader({ log, vms, setResponseTimeout, guestInfo }: GuestAgentPorts): SlowReader<
  ReadonlyMap<string, GuestAnswer>
> & {
  systemOf(uuid: string): string | null;
} {
  /** The run of each VM whose agent has a time limit. */
  const limited = new Map<string, string | null>();
  let latest: ReadonlyMap<string, GuestAnswer> = new Map();

  const ask = async (vm: ReturnType<GuestAgentPorts['vms']>[number]): Promise<GuestAnswer | null> => {
    if (vm.agent !== 'connected') return DOWN;
    try {
      if (limited.get(vm.id) !== vm.startedAt || !limited.has(vm.id)) {
        await setResponseTimeout(vm.id, RESPONSE_SECONDS);
        limited.set(vm.id, vm.startedAt);
      }
      return guestAnswer(await guestInfo(vm.id));
    } catch (error) {
      log.debug({ vm: vm.id, err: error }, `a guest agent told nothing: ${messageOf(error)}`);
      if (!(error instanceof AppError)) return { isUp: true, system: null, fileSystems: [] };
      if (error.code === 'agent_unavailable' || error.code === 'timeout') return DOWN;
      // libvirt is away, or a job holds the VM: of the agent nothing is known.
      if (['libvirt_unavailable', 'busy', 'cancelled', 'not_found', 'wrong_state'].includes(error.code)) return null;
      // It answered that it cannot, as while its file systems are frozen.
      return { isUp: true, system: null, fileSystems: [] };
    }
  };

  return {
    name: 'guest agents',
    periodMs: 60_000,
    async read(signal) {
      const asked = vms().filter(({ agent }) => agent === 'connected' || agent === 'disconnected');
      const answers = new Map<string, GuestAnswer>();
      await mapLimit(asked, PARALLEL_QUESTIONS, async (vm) => {
        if (signal.aborted) return;
        const answer = await ask(vm);
        if (answer !== null) answers.set(vm.id, answer);
      });
      const present = new Set(asked.map(({ id }) => id));
      for (const id of limited.keys()) if (!present.has(id)) limited.delete(id);
      latest = answers;
      return answers;
    },
    put(sink, answers) {
      for (const [id, { isUp, fileSystems }] of answers) {
        const owner = { type: 'vm', id } as const;
        sink.put(owner, 'vm', '', 'vm_agent_up', Number(isUp));
        for (const { mount, sizeBytes, usedBytes } of fileSystems) {
          sink.put(owner, 'guestfs', mount, 'disk_size', sizeBytes);
          sink.put(owner, 'guestfs', mount, 'disk_used', usedBytes);
          sink.put(owner, 'guestfs', mount, 'disk_free', sizeBytes - usedBytes);
          sink.put(owner, 'guestfs', mount, 'disk_usage', usedBytes / sizeBytes);
        }
      }
    },
    systemOf: (uuid) => latest.get(uuid)?.system ?? null,
  };
}
