/** Devices of the host: PCI, USB, network cards, disks. Addressed by libvirt's name, as `pci_0000_00_02_0`. */

import { P } from '../table.ts';
import { type Caller, type CallOptions, LIST_DEADLINE_MS } from './caller.ts';

const CAPABILITIES = {
  system: 1,
  pci: 2,
  usb: 4,
  usbInterface: 8,
  net: 16,
  scsiHost: 32,
  scsi: 128,
  storage: 256,
  mdev: 1 << 13,
  mdevTypes: 1 << 12,
} as const;

export function createNodeDeviceApi({ call, callLong }: Caller) {
  return {
    /** @param options.capability only devices of this kind */
    async list(options: CallOptions & { readonly capability?: keyof typeof CAPABILITIES } = {}): Promise<string[]> {
      const flags = options.capability === undefined ? 0 : CAPABILITIES[options.capability];
      const { devices } = await call(
        P.connectListAllNodeDevices,
        { need: 1, flags },
        { deadlineMs: LIST_DEADLINE_MS, ...options },
      );
      return devices.map(({ name }) => name);
    },
    async xml(name: string, options?: CallOptions): Promise<string> {
      return (await call(P.nodeDeviceGetXmlDesc, { name, flags: 0 }, options)).xml;
    },
    /** Takes it from the host's driver, for passing it to a VM. */
    async detach(name: string, options: CallOptions & { readonly driver?: 'vfio' } = {}): Promise<void> {
      await callLong(
        P.nodeDeviceDetachFlags,
        { name, driverName: options.driver ?? null, flags: 0 },
        { deadlineMs: 60_000, ...options },
      );
    },
    async reattach(name: string, options: CallOptions = {}): Promise<void> {
      await callLong(P.nodeDeviceReAttach, { name }, { deadlineMs: 60_000, ...options });
    },
    async reset(name: string, options?: CallOptions): Promise<void> {
      await call(P.nodeDeviceReset, { name }, options);
    },
  };
}
