/** `hv status`: what runs here, at a glance. */

import { formatDuration } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { markOf, stateText } from './glyphs.ts';
import { printFacts } from './table.ts';
import { safeText } from './text.ts';
import { sinceText } from './time.ts';

/** What the acceleration means for people. */
export function accelText(accel: string): string {
  const texts: Readonly<Record<string, string>> = {
    kvm: '● KVM',
    tcg: '▲ software emulation (TCG): slow; `hv preflight` says why',
    none: '■ none: no VM can run; `hv preflight` says why',
  };
  return texts[accel] ?? '? not known yet: run `hv preflight`';
}

/** A SHA-256 fingerprint on as few lines of equally many pairs as fit. */
function fingerprintLines(fingerprint: string, width: number): string {
  const pairs = safeText(fingerprint).split(':');
  const perLine = [32, 16, 8].find((count) => count * 3 + 16 <= width) ?? 8;
  const lines: string[] = [];
  for (let at = 0; at < pairs.length; at += perLine) lines.push(pairs.slice(at, at + perLine).join(':'));
  return lines.join(':\n');
}

/** Prints the status of the daemon. */
export async function showStatus({ api, output }: CommandContext): Promise<ExitCode> {
  const status = await api('GET /system/status');
  if (output.isJson) {
    output.json(status);
    return EXIT.done;
  }
  const { libvirt, vms, operations } = status;
  const paintState = (state: string) => output.paint(markOf(state).colour, stateText(state));
  const attention =
    operations.attention > 0
      ? `${operations.open > 0 ? ', ' : ''}${output.paint('yellow', `▲ ${operations.attention} need you`)}: \`hv op list --state attention\``
      : '';
  printFacts(output, [
    [
      'hyperd',
      `${output.paint('green', '●')} ${safeText(status.version)} on ${safeText(status.host)}, up ${formatDuration(Date.now() - Date.parse(status.startedAt))}, pid ${status.pid}`,
    ],
    ['libvirt', `${paintState(libvirt.state)} for ${sinceText(libvirt.since)}, ${safeText(libvirt.uri)}`],
    ['acceleration', accelText(status.accel)],
    ['VMs', `${vms.running} running of ${vms.total}`],
    [
      'operations',
      operations.open > 0 || attention
        ? `${operations.open > 0 ? `${operations.open} open` : ''}${attention}`
        : 'none open',
    ],
    ['dashboard', safeText(status.address)],
    ['certificate', fingerprintLines(status.certificateFingerprint, output.width)],
  ]);
  return EXIT.done;
}

export const commands = defineCommands([
  command({
    path: ['status'],
    summary: 'Show what runs here',
    examples: ['status', 'status --json'],
    run: showStatus,
  }),
]);
