/** Temperatures of the machine and of its disks, from the drivers' files below /sys/class/hwmon.
 *  Format: the kernel's Documentation/hwmon/sysfs-interface.rst: `tempN_input` in thousandths of a degree, `tempN_label` where there is one. */

import { type KernelFiles, numberIn } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { SlowReader } from '../slow-reader.ts';

const MAX_SENSORS = 128;
/** Drivers whose sensors sit in a disk; their first sensor is that of the whole disk. */
const DISK_DRIVERS = ['nvme', 'drivetemp'];
/** Chips answer with nonsense for what is not connected. */
const PLAUSIBLE_CELSIUS = { least: -40, most: 150 } as const;

export interface Temperature {
  readonly kind: 'sensor' | 'disk';
  readonly name: string;
  readonly celsius: number;
}

export async function readTemperatures(files: KernelFiles): Promise<readonly Temperature[]> {
  const found: Temperature[] = [];
  const used = new Map<string, number>();
  for (const chip of await files.list('/sys/class/hwmon')) {
    const folder = `/sys/class/hwmon/${chip}`;
    const driver = (await files.read(`${folder}/name`))?.trim() ?? chip;
    const disk = DISK_DRIVERS.includes(driver) ? await diskOf(files, folder) : null;
    for (const file of await files.list(folder)) {
      const input = /^(temp\d+)_input$/.exec(file)?.[1];
      if (input === undefined || found.length >= MAX_SENSORS) continue;
      const thousandths = numberIn(await files.read(`${folder}/${file}`));
      const isFaulty = numberIn(await files.read(`${folder}/${input}_fault`)) === 1;
      if (thousandths === null || isFaulty) continue;
      const celsius = thousandths / 1000;
      if (celsius < PLAUSIBLE_CELSIUS.least || celsius > PLAUSIBLE_CELSIUS.most) continue;
      if (disk !== null && input === 'temp1') found.push({ kind: 'disk', name: disk, celsius });
      else {
        const label = (await files.read(`${folder}/${input}_label`))?.trim() || input;
        const name = labelOf(`${driver} ${label}`);
        // Two processors have two drivers of one name.
        const count = (used.get(name) ?? 0) + 1;
        used.set(name, count);
        found.push({ kind: 'sensor', name: count === 1 ? name : labelOf(`${driver} ${label} ${count}`), celsius });
      }
    }
  }
  return found;
}

/** The disk that a driver's chip sits in: a SCSI device has its block device below, a controller of NVMe its first name space. */
async function diskOf(files: KernelFiles, folder: string): Promise<string | null> {
  const [scsi] = await files.list(`${folder}/device/block`);
  if (scsi !== undefined) return scsi;
  return (await files.list(`${folder}/device`)).find((name) => /^nvme\d+n\d+$/.test(name)) ?? null;
}

export function sensorsReader(
  host: Owner,
  files: KernelFiles,
): SlowReader<readonly Temperature[]> & {
  /** Whether the kernel itself tells the temperature of a disk. */
  hasDisk(name: string): boolean;
} {
  let disks: ReadonlySet<string> = new Set();
  return {
    name: 'sensors',
    periodMs: 30_000,
    async read() {
      const temperatures = await readTemperatures(files);
      disks = new Set(temperatures.filter(({ kind }) => kind === 'disk').map(({ name }) => name));
      return temperatures;
    },
    put(sink, temperatures) {
      for (const { kind, name, celsius } of temperatures) sink.put(host, kind, name, 'temperature', celsius);
    },
    hasDisk: (name) => disks.has(name),
  };
}
