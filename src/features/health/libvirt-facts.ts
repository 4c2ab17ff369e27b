/** What the checks want to know of libvirt and of what lies in it, in our own words; `index.ts` binds it to the daemon. */

import type { Network, Pool } from '#contract/networks.ts';

export type NetworkFacts = Pick<Network, 'name' | 'state' | 'kind' | 'bridge' | 'addresses'>;
export type PoolFacts = Pick<Pool, 'name' | 'state' | 'kind' | 'path'>;

export interface LibvirtFacts {
  readonly uri: string;
  connection(): {
    readonly state: 'connected' | 'connecting' | 'disconnected';
    readonly since: Date;
    readonly problem: string | null;
  };
  /** Of libvirt itself, as `9.0.0`. @throws libvirt_unavailable while not connected */
  version(): Promise<string>;
  /** The user and group that QEMU processes run as, or null where libvirt does not tell. @throws libvirt_unavailable */
  qemuUser(): Promise<{ readonly uid: number; readonly gid: number } | null>;
  /** What libvirt says when it is asked for its VMs in the name of the user nobody. @throws libvirt_unavailable */
  asNobody(): Promise<'refused' | 'answered'>;
  /** Whether it can filter what NICs send. @throws libvirt_unavailable */
  canFilterNics(): Promise<boolean>;
  /** VMs that are ours to filter and have a NIC without a filter. As last seen; never waits. */
  unfilteredVms(): readonly string[];
  /** As last seen; never waits. */
  networks(): readonly NetworkFacts[];
  /** As last seen; never waits. */
  pools(): readonly PoolFacts[];
  /** As last seen; never waits. */
  vmNames(): readonly string[];
}

/** Reads `+64055:+64055` of the DAC security model for QEMU out of libvirt's capabilities.
 *  Source: libvirt's capabilities document, measured on 9.0: `<secmodel><model>dac</model>…<baselabel type='kvm'>+64055:+64055</baselabel>`. */
export function qemuUserOf(capabilitiesXml: string): { readonly uid: number; readonly gid: number } | null {
  const models = capabilitiesXml.match(/<secmodel>[\s\S]*?<\/secmodel>/g) ?? [];
  const dac = models.find((model) => model.includes('<model>dac</model>')) ?? '';
  const label = /<baselabel type=['"](?:qemu|kvm)['"]>\+(\d+):\+(\d+)<\/baselabel>/.exec(dac);
  return label === null ? null : { uid: Number(label[1]), gid: Number(label[2]) };
}
