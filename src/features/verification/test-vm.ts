/** A test VM in libvirt: made from a definition, never stored, gone with its power. It lives below the state of one operation. */

import { asPng } from '#features/consoles/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { isNotFound, type LibvirtHost, type LibvirtStream } from '#libvirt/index.ts';
import { operationOfProof, proofName } from './proof-domain.ts';
import type { SerialWatch } from './serial-watch.ts';
import type { WatchedVm } from './watch-boot.ts';

export type ProofHost = Pick<LibvirtHost, 'domains' | 'agent' | 'onEvent'>;

export interface StartedVm extends AsyncDisposable {
  readonly vm: Pick<WatchedVm, 'state' | 'agent'>;
  /** PNG, or null where there is none. */
  picture(): Promise<Buffer | null>;
}

export interface StartOptions {
  readonly libvirt: ProofHost;
  readonly uuid: string;
  readonly xml: string;
  readonly serial: SerialWatch;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const AGENT_SECONDS = 2;
const PICTURE_MS = 10_000;

/** Starts it with all eyes open: its serial port is read from the first byte on.
 *  @throws failures of libvirt; nothing is left then */
export async function startTestVm({ libvirt, uuid, xml, serial, log, signal }: StartOptions): Promise<StartedVm> {
  const { domains, agent } = libvirt;
  let ending: 'panicked' | 'off' | null = null;
  const stopListening = libvirt.onEvent((event) => {
    if (event.type !== 'domain-lifecycle' || event.domain.uuid !== uuid) return;
    if (event.event === 'crashed' || (event.event === 'stopped' && event.reason === 'crashed')) ending = 'panicked';
    else if (event.event === 'stopped' || event.event === 'undefined') ending ??= 'off';
  });
  let console: LibvirtStream | null = null;
  const close = async () => {
    stopListening();
    console?.destroy();
    await destroyTestVm(libvirt, uuid);
  };
  try {
    await domains.createTransient(xml, { paused: true, signal });
    console = await domains.openConsole(uuid, { signal });
    console.on('data', (bytes: Buffer) => void serial.feed(bytes));
    console.on('error', (error) => log.debug({ vm: uuid, err: error }, 'the serial port of a test VM ended'));
    await domains.resume(uuid);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    vm: {
      async state() {
        if (ending !== null) return ending;
        try {
          const { state } = await domains.state(uuid);
          if (state === 'crashed') return 'panicked';
          if (state === 'paused') return 'stuck';
          return state === 'off' ? 'off' : 'running';
        } catch (error) {
          if (!isNotFound(error)) throw error;
          return ending ?? 'off';
        }
      },
      agent: (json) => agent.command(uuid, json, { timeoutSeconds: AGENT_SECONDS, signal }),
    },
    async picture() {
      try {
        return await asPng((await domains.screenshot(uuid, { deadlineMs: PICTURE_MS })).bytes);
      } catch (error) {
        // Evidence only: nothing is concluded from a picture, nor from the want of one.
        log.debug({ vm: uuid, err: messageOf(error) }, 'no picture of a test VM');
        return null;
      }
    },
    [Symbol.asyncDispose]: close,
  };
}

/** Cuts the power of a test VM; one that is gone counts as off. */
export async function destroyTestVm({ domains }: Pick<LibvirtHost, 'domains'>, uuid: string): Promise<void> {
  try {
    await domains.destroy(uuid);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Test VMs that run, by the operation that they belong to. */
export async function runningTestVms({ domains }: Pick<LibvirtHost, 'domains'>): Promise<ReadonlyMap<string, string>> {
  const found = (await domains.list()).map(({ uuid, name }) => [operationOfProof(name), uuid] as const);
  return new Map(found.flatMap(([operationId, uuid]) => (operationId === null ? [] : [[operationId, uuid] as const])));
}

/** The test VM of an operation, whichever start of it that was. */
export async function findTestVm(
  { domains }: Pick<LibvirtHost, 'domains'>,
  operationId: string,
): Promise<string | null> {
  try {
    return (await domains.byName(proofName(operationId))).uuid;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}
