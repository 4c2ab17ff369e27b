/** The facts of a definition that views, plans and other slices use, in our own terms. */

import type { Vm } from '#contract/vms.ts';

export interface DiskFacts {
  readonly target: string;
  readonly device: Vm['disks'][number]['device'];
  readonly bus: string | null;
  readonly format: string | null;
  /** Absolute path of a file, or what libvirt names the source by; null = empty drive. */
  readonly path: string | null;
  readonly readOnly: boolean;
  readonly bootOrder: number | null;
}

export interface NicFacts {
  readonly mac: string;
  readonly model: string | null;
  readonly sourceType: string;
  readonly source: string | null;
  readonly linkUp: boolean;
  /** Traffic filter; null = none. */
  readonly filter: Vm['nics'][number]['filter'];
  readonly bootOrder: number | null;
  /** Its other end on the host, as `vnet0`; null while it does not run. */
  readonly device: string | null;
}

export interface DomainFacts {
  readonly name: string;
  readonly title: string | null;
  readonly description: string | null;
  readonly vcpus: number;
  readonly maxVcpus: number;
  /** What the guest has now (balloon). */
  readonly memoryBytes: number;
  /** What it has at most without a restart. */
  readonly maxMemoryBytes: number;
  readonly arch: string;
  readonly machine: string;
  readonly firmware: Vm['firmware'];
  readonly nvramPath: string | null;
  readonly kernelPath: string | null;
  readonly initrdPath: string | null;
  readonly accel: Vm['accel'];
  readonly hasTpm: boolean;
  readonly hasVnc: boolean;
  /** Of a running guest only. */
  readonly vncSocketPath: string | null;
  readonly hasSerial: boolean;
  /** Where virtlogd keeps what the first serial port wrote, if it was asked to. */
  readonly serialLogPath: string | null;
  readonly agent: Vm['agent'];
  readonly disks: readonly DiskFacts[];
  readonly nics: readonly NicFacts[];
  /** Disk targets and MACs in the order they are tried. */
  readonly bootOrder: readonly string[];
  /** The operation that made it; null for a foreign VM. */
  readonly operationId: string | null;
}
