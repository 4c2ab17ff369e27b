/** Errors that memory controllers counted. Format: the kernel's Documentation/driver-api/edac.rst, one folder per controller. */

import { type KernelFiles, numberIn } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import type { SlowReader } from '../slow-reader.ts';

const FOLDER = '/sys/devices/system/edac/mc';

export interface MemoryErrors {
  readonly corrected: number;
  readonly uncorrected: number;
}

/** null on a machine whose memory does not tell. */
export async function readMemoryErrors(files: KernelFiles): Promise<MemoryErrors | null> {
  const controllers: MemoryErrors[] = [];
  for (const controller of await files.list(FOLDER)) {
    if (!/^mc\d+$/.test(controller)) continue;
    const corrected = numberIn(await files.read(`${FOLDER}/${controller}/ce_count`));
    const uncorrected = numberIn(await files.read(`${FOLDER}/${controller}/ue_count`));
    if (corrected !== null && uncorrected !== null) controllers.push({ corrected, uncorrected });
  }
  if (controllers.length === 0) return null;
  return {
    corrected: controllers.reduce((sum, one) => sum + one.corrected, 0),
    uncorrected: controllers.reduce((sum, one) => sum + one.uncorrected, 0),
  };
}

export function memoryErrorsReader(host: Owner, files: KernelFiles): SlowReader<MemoryErrors> {
  return {
    name: 'memory errors',
    periodMs: 60_000,
    read: () => readMemoryErrors(files),
    put(sink, { corrected, uncorrected }) {
      sink.put(host, 'host', '', 'ecc_correctable_total', corrected);
      sink.put(host, 'host', '', 'ecc_uncorrectable_total', uncorrected);
    },
  };
}
