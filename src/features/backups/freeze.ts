/** Holds the guest's file systems still while a backup begins, by its agent, and lets them go in any case. The guest is not trusted to
 *  answer: every question has an end. */

import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';

export interface Frozen<Value> {
  readonly value: Value;
  /** How long they were frozen; null = they were not. */
  readonly frozenMs: number | null;
  /** What a person should know, in words. */
  readonly warnings: readonly string[];
}

export interface Freezer {
  /** @param isAgentThere whether to ask the agent at all */
  whileFrozen<Value>(vmId: string, isAgentThere: boolean, work: () => Promise<Value>): Promise<Frozen<Value>>;
  /** Lets the file systems go if they are frozen; for what an earlier life of this process may have left. */
  thawIfFrozen(vmId: string): Promise<void>;
}

const ANSWER_SECONDS = 5;
const FREEZE_MS = 10_000;
const THAW_MS = 10_000;
const THAW_TRIES = 5;
/** libvirt's word for "as it was before". */
const DEFAULT_TIMEOUT = -1;
/** Longer is told. */
const BUDGET_MS = 3_000;
/** A guest that was held for longer may have let go by itself. */
const MOST_MS = 10_000;

const NOT_FROZEN = {
  absent: 'The guest agent does not answer: the disks are as after a power cut.',
  empty: 'The guest has no file system that can be frozen: the disks are as after a power cut.',
  failed: 'The guest agent did not freeze the file systems: the disks are as after a power cut.',
  late: 'The file systems were frozen for more than 10 s: the disks count as after a power cut.',
} as const;

export function createFreezer(
  { agent }: { readonly agent: Pick<LibvirtHost['agent'], 'freeze' | 'thaw' | 'command' | 'setResponseTimeout'> },
  clock: Pick<Clock, 'monotonicMs' | 'sleep'>,
  log: Logger,
): Freezer {
  const freeze = async (vmId: string): Promise<'frozen' | 'empty' | 'failed'> => {
    try {
      return (await agent.freeze(vmId, [], { deadlineMs: FREEZE_MS })) > 0 ? 'frozen' : 'empty';
    } catch (error) {
      log.warn({ vm: vmId, err: error }, 'the file systems of a guest could not be frozen');
      return 'failed';
    }
  };

  /** Also after a freeze that failed: an agent that was slow may do it yet. */
  const thaw = async (vmId: string, isFrozen: boolean) => {
    for (let tries = 1; ; tries += 1) {
      try {
        await agent.thaw(vmId, [], { deadlineMs: THAW_MS });
        return;
      } catch (error) {
        log.warn({ vm: vmId, tries, err: error }, 'the file systems of a guest could not be thawed');
        if (!isFrozen) return;
        if (tries >= THAW_TRIES) throw error;
        await clock.sleep(500 * tries);
      }
    }
  };

  return {
    async whileFrozen(vmId, isAgentThere, work) {
      if (!isAgentThere)
        return {
          value: await work(),
          frozenMs: null,
          warnings: [NOT_FROZEN.absent],
        };
      await agent.setResponseTimeout(vmId, ANSWER_SECONDS);
      try {
        const beganMs = clock.monotonicMs();
        const held = await freeze(vmId);
        let value: Awaited<ReturnType<typeof work>>;
        let heldMs: number;
        try {
          value = await work();
          heldMs = clock.monotonicMs() - beganMs;
        } finally {
          await thaw(vmId, held === 'frozen');
        }
        const frozenMs = Math.round(clock.monotonicMs() - beganMs);
        if (held !== 'frozen') return { value, frozenMs: null, warnings: [NOT_FROZEN[held]] };
        // Who is held for too long may have let go by himself before the moment.
        if (heldMs > MOST_MS) return { value, frozenMs: null, warnings: [NOT_FROZEN.late] };
        const warnings =
          frozenMs > BUDGET_MS ? [`The file systems were frozen for ${(frozenMs / 1000).toFixed(1)} s.`] : [];
        return { value, frozenMs, warnings };
      } finally {
        await agent.setResponseTimeout(vmId, DEFAULT_TIMEOUT).catch((error: unknown) => {
          log.warn({ vm: vmId, err: error }, 'the timeout of the guest agent could not be set back');
        });
      }
    },
    async thawIfFrozen(vmId) {
      let status: string;
      try {
        status = await agent.command(vmId, '{"execute":"guest-fsfreeze-status"}', { timeoutSeconds: ANSWER_SECONDS });
      } catch {
        // Without an agent nothing of ours is frozen, and nothing can be asked.
        return;
      }
      if (status.includes('frozen')) await thaw(vmId, true);
    },
  };
}
