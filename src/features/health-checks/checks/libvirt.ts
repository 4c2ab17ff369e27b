/** libvirt, and the QEMU processes behind it. */

import { type Finding, fail, type HealthCheck, type HealthContext, levelOf, MINUTE_MS, ok } from '../check.ts';
import { levelCheck, notMeasured } from '../level-check.ts';
import { seconds } from '../text.ts';

function answers(context: HealthContext): Finding | null {
  const hint =
    'Look at `systemctl status libvirtd` and `journalctl -u libvirtd`. Restart it only when no operation runs: VMs go on meanwhile.';
  const [up] = context.figures.fresh('libvirt_up', 'host');
  if (up === undefined) return notMeasured(context, 'libvirt_up', 'host', true);
  if (up.value === 0) return fail('libvirt does not answer: VMs run on, but nothing can be changed.', hint);
  const [latency] = context.figures.fresh('libvirt_latency', 'host');
  if (latency === undefined) return ok('libvirt answers.');
  const status = levelOf(latency.value, context.limit('libvirt.latency'));
  const evidence = `libvirt answered within ${seconds(latency.value)}.`;
  return status === 'ok' ? ok(evidence) : { status, evidence, hint, items: [] };
}

export const libvirtChecks: readonly HealthCheck[] = [
  {
    id: 'libvirt.answers',
    number: 28,
    title: 'libvirt',
    meaning: 'Whether libvirt answers, and how fast.',
    failsWhen: 'it does not answer',
    limits: ['libvirt.latency'],
    everyMs: MINUTE_MS,
    run: answers,
  },
  levelCheck({
    id: 'vms.monitor',
    number: 29,
    title: 'QEMU processes',
    meaning: 'Whether the QEMU of each running VM answers libvirt.',
    metric: 'vm_monitor_stuck',
    kind: 'vm',
    limit: 'vms.monitor',
    show: seconds,
    what: 'without an answer',
    hint: 'Keep what it does for later: `cat /proc/PID/stack`, `gdb -p PID -batch -ex bt`. Then you decide: `hv vm stop NAME --force` ends the VM.',
    isExpected: false,
  }),
];
