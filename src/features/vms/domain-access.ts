/** What operations ask of libvirt again and again: is it there, is it on, make it so. Every answer is the world's, not the inventory's.
 *  Power goes through the second fence: libvirt judges it under the user of the project that we believe the VM to be of. */

import { type DomainFacts, factsOf, hashText } from '#features/inventory/index.ts';
import { AppError } from '#kernel/errors.ts';
import { isNotFound, LibvirtError, type LibvirtHost, type ProjectDomains } from '#libvirt/index.ts';

export interface DomainAccess {
  isDefined(uuid: string): Promise<boolean>;
  /** UUID of the domain that has this name, or null. */
  holderOfName(name: string): Promise<string | null>;
  isOn(uuid: string): Promise<boolean>;
  isPaused(uuid: string): Promise<boolean>;
  /** Starts it; one that is on already counts as started. */
  start(uuid: string): Promise<void>;
  /** Cuts its power; one that is off already counts as stopped. */
  stop(uuid: string): Promise<void>;
  /** Presses the reset button. */
  reset(uuid: string): Promise<void>;
  /** Freezes the vCPUs. */
  suspend(uuid: string): Promise<void>;
  resume(uuid: string): Promise<void>;
  /** Asks the guest; returns when it was asked. */
  reboot(uuid: string, options?: { readonly by?: 'acpi' | 'agent' }): Promise<void>;
  shutdown(uuid: string, options?: { readonly by?: 'acpi' | 'agent'; readonly signal?: AbortSignal }): Promise<void>;
  /** Stored definition with its passwords: for defining again only. */
  secretXml(uuid: string): Promise<string>;
  storedFacts(uuid: string): Promise<DomainFacts>;
  /** As the inventory counts it. */
  storedHash(uuid: string): Promise<string>;
}

/** @param fenced the verbs that go through the second fence, under the user of the VM's project
 *  @param beforeStart makes ready what lies on the disk */
export function createDomainAccess(
  libvirt: LibvirtHost,
  fenced: (uuid: string) => Promise<ProjectDomains>,
  beforeStart: (uuid: string) => Promise<void>,
): DomainAccess {
  const { domains } = libvirt;
  const orNull = async <Value>(work: Promise<Value>): Promise<Value | null> => {
    try {
      return await work;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  };
  const state = async (uuid: string) => (await orNull(domains.state(uuid)))?.state ?? 'off';
  const isOn = async (uuid: string) => !['off', 'none'].includes(await state(uuid));
  const storedXml = (uuid: string) => domains.xml(uuid, { inactive: true });

  return {
    isDefined: async (uuid) => (await orNull(domains.byUuid(uuid))) !== null,
    holderOfName: async (name) => (await orNull(domains.byName(name)))?.uuid ?? null,
    isOn,
    isPaused: async (uuid) => (await state(uuid)) === 'paused',
    async start(uuid) {
      // A guest that panicked can be kept for a look; to start it again its remains go first.
      if ((await state(uuid)) === 'crashed') await (await fenced(uuid)).destroy(uuid);
      await beforeStart(uuid);
      try {
        await (await fenced(uuid)).create(uuid);
      } catch (error) {
        // Somebody else, or an earlier life of this operation, was first; or the answer got lost on its way.
        if (!(await isOn(uuid))) throw startFailure(error);
      }
    },
    async stop(uuid) {
      try {
        await (await fenced(uuid)).destroy(uuid);
      } catch (error) {
        if (await isOn(uuid)) throw error;
      }
    },
    reset: async (uuid) => (await fenced(uuid)).reset(uuid),
    suspend: async (uuid) => (await fenced(uuid)).suspend(uuid),
    resume: async (uuid) => (await fenced(uuid)).resume(uuid),
    reboot: async (uuid, options) => (await fenced(uuid)).reboot(uuid, options),
    shutdown: async (uuid, options) => (await fenced(uuid)).shutdown(uuid, options),
    secretXml: (uuid) => domains.xml(uuid, { inactive: true, secure: true }),
    storedFacts: async (uuid) => factsOf(await storedXml(uuid)),
    storedHash: async (uuid) => hashText(await storedXml(uuid)),
  };
}

/** libvirt's reasons for a failed start that a user can mend, told without its own text (that can hold host paths). */
function startFailure(error: unknown): unknown {
  if (!(error instanceof LibvirtError) || error.failure === null) return error;
  const text = error.failure.message;
  const known: readonly (readonly [RegExp, string, string])[] = [
    [
      /Cannot access (storage|backing) file|No such file or directory/,
      'A file of the VM is missing.',
      'Look which disks or images are gone; eject a missing ISO with `hv vm edit NAME --eject`.',
    ],
    [
      /Permission denied/,
      'QEMU may not open a file of the VM.',
      'The folders above the file must be passable for the user that runs QEMU; `hv preflight` checks this.',
    ],
    [
      /Cannot allocate memory|cannot set up guest memory/,
      'The host has not enough free memory for the VM.',
      'Stop other VMs, or give this one less memory.',
    ],
    [
      /Failed to get "write" lock|is already in use by another/,
      'Another program uses a disk of the VM.',
      'Stop the other VM or program that has the disk open.',
    ],
    [
      /Cannot get interface MTU|No such device|Network not found|network .* is not active/,
      'A network or bridge of the VM is missing.',
      'Start the network or make the bridge again (`hv network list`).',
    ],
    [/KVM|kvm/, 'KVM does not work here.', 'Run `hv preflight` to see why.'],
  ];
  const match = known.find(([pattern]) => pattern.test(text));
  return match
    ? new AppError('start_failed', { detail: match[1], hint: match[2], cause: error })
    : new AppError('start_failed', { cause: error });
}
