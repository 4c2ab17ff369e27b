/** What the guest agent tells and does, and the guest's addresses. The guest is not trusted: its texts are data of unknown content. */

import type { StatValues, TypedParam } from '../codec.ts';
import { P } from '../table.ts';
import { type Caller, type CallOptions, flagsOf } from './caller.ts';
import { domainOf } from './domain.ts';

export interface GuestInterface {
  readonly name: string;
  readonly mac: string | null;
  readonly addresses: readonly {
    readonly family: 'ipv4' | 'ipv6';
    readonly address: string;
    readonly prefix: number;
  }[];
}

export interface GuestFilesystem {
  readonly mountpoint: string;
  readonly name: string;
  readonly type: string;
  readonly disks: readonly string[];
}

const SOURCES = { lease: 0, agent: 1, arp: 2 } as const;
const INFO_TYPES = { users: 1, os: 2, timezone: 4, hostname: 8, filesystems: 16, disks: 32, interfaces: 64 } as const;
const AGENT_TIMEOUT_S = 5;
// The agent has its own timeout; ours must be the longer one, or every slow guest looks like a lost host.
const AGENT_DEADLINE_MS = (AGENT_TIMEOUT_S + 2) * 1000;
const FREEZE_DEADLINE_MS = 120_000;

export function createAgentApi({ call, callForGuests }: Caller) {
  return {
    /** Sends one command of the agent's protocol, returns its `return` message as JSON text.
     *  @param options.timeoutSeconds how long libvirt waits for the guest, default 5 */
    async command(
      uuid: string,
      json: string,
      options: CallOptions & { readonly timeoutSeconds?: number } = {},
    ): Promise<string> {
      const timeout = options.timeoutSeconds ?? AGENT_TIMEOUT_S;
      const args = { dom: domainOf(uuid), cmd: json, timeout, flags: 0 };
      return (await call(P.domainAgentCommand, args, { deadlineMs: (timeout + 2) * 1000, ...options })).result ?? '';
    },
    async setResponseTimeout(uuid: string, seconds: number, options?: CallOptions): Promise<void> {
      await call(P.domainAgentSetResponseTimeout, { dom: domainOf(uuid), timeout: seconds, flags: 0 }, options);
    },
    /** By libvirt's names, as `os.pretty-name`, `user.0.name`. The guest wrote them, up to what one message of libvirt holds. */
    async guestInfo(
      uuid: string,
      types: readonly (keyof typeof INFO_TYPES)[],
      options?: CallOptions,
    ): Promise<StatValues> {
      const mask = flagsOf(...types.map((type) => INFO_TYPES[type]));
      const { params } = await callForGuests(
        P.domainGetGuestInfo,
        { dom: domainOf(uuid), types: mask, flags: 0 },
        { deadlineMs: AGENT_DEADLINE_MS, ...options },
      );
      return new Map(params.map((param: TypedParam) => [param.name, param.value]));
    },
    async filesystems(uuid: string, options?: CallOptions): Promise<GuestFilesystem[]> {
      const { info } = await call(
        P.domainGetFsinfo,
        { dom: domainOf(uuid), flags: 0 },
        { deadlineMs: AGENT_DEADLINE_MS, ...options },
      );
      return info.map((fs) => ({ mountpoint: fs.mountpoint, name: fs.name, type: fs.fstype, disks: fs.dev_aliases }));
    },
    /** Stops writes to the file systems, all when none is named. Thaw in any case afterwards. @returns how many were frozen */
    async freeze(uuid: string, mountpoints: readonly string[] = [], options?: CallOptions): Promise<number> {
      return (
        await call(
          P.domainFsfreeze,
          { dom: domainOf(uuid), mountpoints, flags: 0 },
          { deadlineMs: FREEZE_DEADLINE_MS, ...options },
        )
      ).filesystems;
    },
    async thaw(uuid: string, mountpoints: readonly string[] = [], options?: CallOptions): Promise<number> {
      return (
        await call(
          P.domainFsthaw,
          { dom: domainOf(uuid), mountpoints, flags: 0 },
          { deadlineMs: FREEZE_DEADLINE_MS, ...options },
        )
      ).filesystems;
    },
    async trim(
      uuid: string,
      options: CallOptions & { readonly mountpoint?: string; readonly minimumBytes?: bigint } = {},
    ): Promise<void> {
      const args = {
        dom: domainOf(uuid),
        mountPoint: options.mountpoint ?? null,
        minimum: options.minimumBytes ?? 0n,
        flags: 0,
      };
      await call(P.domainFstrim, args, { deadlineMs: FREEZE_DEADLINE_MS, ...options });
    },
    async setTime(uuid: string, time: Date, options?: CallOptions): Promise<void> {
      const ms = time.getTime();
      const args = {
        dom: domainOf(uuid),
        seconds: BigInt(Math.floor(ms / 1000)),
        nseconds: (ms % 1000) * 1_000_000,
        flags: 0,
      };
      await call(P.domainSetTime, args, { deadlineMs: AGENT_DEADLINE_MS, ...options });
    },
    async setUserPassword(uuid: string, user: string, password: string, options?: CallOptions): Promise<void> {
      await call(
        P.domainSetUserPassword,
        { dom: domainOf(uuid), user, password, flags: 0 },
        { deadlineMs: AGENT_DEADLINE_MS, ...options },
      );
    },
    /** Replaces the user's keys, or adds to or removes from them. */
    async setSshKeys(
      uuid: string,
      user: string,
      keys: readonly string[],
      options: CallOptions & { readonly change?: 'add' | 'remove' } = {},
    ): Promise<void> {
      const flags = flagsOf(options.change === 'add' && 1, options.change === 'remove' && 2);
      await call(
        P.domainAuthorizedSshKeysSet,
        { dom: domainOf(uuid), user, keys, flags },
        { deadlineMs: AGENT_DEADLINE_MS, ...options },
      );
    },
    /** The guest's addresses from the DHCP leases of libvirt's networks, from the agent, or from the host's ARP table. */
    async addresses(uuid: string, source: keyof typeof SOURCES, options?: CallOptions): Promise<GuestInterface[]> {
      const { ifaces } = await call(
        P.domainInterfaceAddresses,
        { dom: domainOf(uuid), source: SOURCES[source], flags: 0 },
        { deadlineMs: AGENT_DEADLINE_MS, ...options },
      );
      return ifaces.map((iface) => ({
        name: iface.name,
        mac: iface.hwaddr,
        addresses: iface.addrs.map(({ type, addr, prefix }) => ({
          family: type === 0 ? 'ipv4' : 'ipv6',
          address: addr,
          prefix,
        })),
      }));
    },
  };
}
