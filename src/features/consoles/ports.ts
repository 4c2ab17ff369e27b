/** What the consoles need of the inventory and of libvirt; bound in `index.ts`, played by tests. */

import type { Duplex } from 'node:stream';

/** The facts of a VM that decide which consoles it has. */
export interface ConsoleVm {
  readonly id: string;
  readonly name: string;
  /** It has a QEMU process: running, paused or suspended. */
  readonly isActive: boolean;
  readonly hasScreen: boolean;
  readonly hasSerial: boolean;
  /** Path of the unix socket on which QEMU speaks RFB; null when it is off or listens elsewhere. */
  readonly vncSocket: string | null;
}

/** Kept current by events; never waits for libvirt. */
export interface ConsoleVms {
  /** By id, or by name where it is unique. @throws AppError `not_found` */
  get(idOrName: string): ConsoleVm;
}

/** libvirt's part. Every call has a deadline of its own. Errors are AppErrors. */
export interface ConsoleHost {
  /** The first serial console, both ways; only one program at a time may hold it. */
  openSerial(vmId: string, signal: AbortSignal): Promise<Duplex>;
  /** The screen as PNG or PPM, whatever the host makes. */
  screenshot(vmId: string): Promise<Uint8Array>;
  /** Whether the host's own rules let the VM's project open its screen. @throws LibvirtError libvirt_forbidden when they do not */
  mayOpenScreen(vmId: string): Promise<void>;
  /** Presses Linux key codes together. */
  sendKeys(vmId: string, codes: readonly number[]): Promise<void>;
}
