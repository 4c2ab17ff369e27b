/** Whether a unit of systemd has failed, and how far the clock is from its time source (chrony). */

import type { KernelFiles } from '../kernel-files.ts';
import type { Owner } from '../measuring.ts';
import type { Programs } from '../programs.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';

/** A folder `system` in it says that systemd runs this machine: sd_booted(3). */
const SYSTEMD_FOLDER = '/run/systemd';

export interface Services {
  readonly failed: number | null;
  readonly timeOffsetSeconds: number | null;
}

/** How many units are in the list of `systemctl list-units --state=failed --plain --no-legend`. */
export function failedUnits(output: string): number {
  return output.split('\n').filter((line) => line.trim() !== '').length;
}

/** Seconds that the clock is ahead (behind, when negative), from `chronyc -c tracking`: comma-separated, the fifth field.
 *  null when it has no source now, or for what is no such line. */
export function timeOffset(output: string): number | null {
  const fields = output.trim().split(',');
  const [referenceId = '', , , , offset = ''] = fields;
  if (fields.length < 13 || /^0*$/.test(referenceId) || !/^-?\d+(\.\d+)?$/.test(offset)) return null;
  return Number(offset);
}

export function servicesReader(host: Owner, files: KernelFiles, programs: Programs): SlowReader<Services> {
  return {
    name: 'services',
    periodMs: 60_000,
    async read(signal) {
      const hasSystemd = (await files.list(SYSTEMD_FOLDER)).includes('system');
      const units = hasSystemd
        ? await programs.ask(
            ['systemctl', 'list-units', '--state=failed', '--plain', '--no-legend', '--no-pager'],
            signal,
          )
        : null;
      const tracking = await programs.ask(['chronyc', '-c', 'tracking'], signal);
      return {
        failed: units?.code === 0 ? failedUnits(units.stdout) : null,
        timeOffsetSeconds: tracking?.code === 0 ? timeOffset(tracking.stdout) : null,
      };
    },
    put(sink, { failed, timeOffsetSeconds }) {
      const state = failed === null ? null : enumNumber('service_state', failed > 0 ? 'failed' : 'ok');
      sink.put(host, 'host', '', 'service_state', state);
      sink.put(host, 'host', '', 'time_offset', timeOffsetSeconds);
    },
  };
}
