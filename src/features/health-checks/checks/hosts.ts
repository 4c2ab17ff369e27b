/** Several hosts side by side: can VMs move between them? */

import type { HealthItem } from '#contract/health.ts';
import type { Host } from '#contract/system.ts';
import { conclude, type Finding, type HealthCheck, type HealthContext, HOUR_MS } from '../check.ts';

/** Intel, AMD, … : between makers no running VM moves. */
const makerOf = ({ cpuModel }: Host) => /intel|amd|arm|ampere|apple/i.exec(cpuModel ?? '')?.[0].toLowerCase() ?? null;
const majorOf = ({ qemuVersion }: Host) => qemuVersion?.split('.')[0] ?? null;

function drift({ facts }: HealthContext): Finding | null {
  const [first, ...others] = facts.hosts();
  if (first === undefined || others.length === 0) return null;
  const items = others.map((host): HealthItem => {
    const { name, cpuModel, qemuVersion } = host;
    if (cpuModel === null || qemuVersion === null || first.cpuModel === null || first.qemuVersion === null)
      return { name, status: 'unknown', detail: 'its processor and QEMU are not known' };
    if (makerOf(host) !== makerOf(first))
      return {
        name,
        status: 'fail',
        detail: `has ${cpuModel}, ${first.name} has ${first.cpuModel}: running VMs cannot move`,
      };
    if (majorOf(host) !== majorOf(first))
      return {
        name,
        status: 'fail',
        detail: `has QEMU ${qemuVersion}, ${first.name} has ${first.qemuVersion}: new machine types cannot move back`,
      };
    const differences = [
      cpuModel === first.cpuModel ? [] : [cpuModel],
      qemuVersion === first.qemuVersion ? [] : [`QEMU ${qemuVersion}`],
    ].flat();
    return differences.length > 0
      ? { name, status: 'warn', detail: `differs from ${first.name}: ${differences.join(', ')}` }
      : { name, status: 'ok', detail: 'the same' };
  });
  return conclude(
    items,
    `${others.length + 1} hosts with the same processor and QEMU.`,
    'Bring the hosts to the same versions, and give VMs that shall move a CPU model that all hosts have.',
  );
}

export const hostDriftChecks: readonly HealthCheck[] = [
  {
    id: 'hosts.drift',
    number: 44,
    title: 'Differences between hosts',
    meaning: 'Whether VMs can move between hosts. Only with several hosts.',
    warnsWhen: 'processor or QEMU differ',
    failsWhen: 'processors are of different makers, or QEMU of different main versions',
    limits: [],
    everyMs: HOUR_MS,
    isAnnounced: true,
    run: drift,
  },
];
