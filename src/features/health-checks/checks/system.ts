/** The operating system of the host: clock, units, generations, kernel. */

import { METRICS } from '#contract/metric-catalogue.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import {
  DAY_MS,
  type Finding,
  fail,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  ok,
  unknown,
  warn,
} from '../check.ts';
import { notMeasured } from '../level-check.ts';
import { ask } from '../programs.ts';
import { days, seconds } from '../text.ts';

/** Clocks need some time after a start. */
const SETTLED_SECONDS = 17 * 60;

async function time(context: HealthContext): Promise<Finding | null> {
  const hint = 'Run a time service: `apt-get install chrony`, then `chronyc tracking`.';
  const [offset] = context.figures.fresh('time_offset', 'host');
  if (offset !== undefined) {
    const apart = Math.abs(offset.value);
    const status = levelOf(apart, context.limit('system.time'));
    const evidence = `The clock is ${seconds(apart)} from its source.`;
    return status === 'ok'
      ? ok(evidence)
      : {
          status,
          evidence,
          hint: 'See why it does not follow: `chronyc sources -v`; step it with `chronyc makestep`.',
          items: [],
        };
  }
  const said = await ask(context, ['timedatectl', 'show', '--property=NTPSynchronized', '--value']);
  if (said?.trim() === 'yes') return ok('The clock follows a time source.');
  if (said?.trim() !== 'no') return unknown('Neither chrony nor systemd tells whether the clock is right.', hint);
  const uptime = Number.parseFloat((await context.machine.readText('/proc/uptime')) ?? '0');
  if (uptime < SETTLED_SECONDS) return ok('The machine has just started; its clock is being set.');
  return warn(`The clock has followed no time source for ${formatDuration(uptime * 1000)}.`, hint);
}

const OWN_UNIT = /^(hyperd|hyper-nixos[\w-]*)\.service$/;

async function units(context: HealthContext): Promise<Finding | null> {
  const isSystemd = ((await context.machine.list('/run/systemd')) ?? []).includes('system');
  if (!isSystemd) return null;
  const [state] = context.figures.fresh('service_state', 'host');
  if (state === undefined) return notMeasured(context, 'service_state', 'host', true);
  if (METRICS.service_state.values[state.value] === 'unknown')
    return unknown('systemd does not tell.', 'Run `systemctl --failed`.');
  if (METRICS.service_state.values[state.value] === 'ok') return ok('No unit has failed.');
  const list = await ask(context, [
    'systemctl',
    'list-units',
    '--state=failed',
    '--plain',
    '--no-legend',
    '--no-pager',
  ]);
  const names = (list ?? '').split('\n').flatMap((line) => line.trim().split(/\s+/)[0] || []);
  const hint =
    'See why: `systemctl --failed`, `journalctl -b -u UNIT`. When it is mended: `systemctl reset-failed UNIT`.';
  const evidence = `Units have failed: ${names.slice(0, 5).join(', ')}${names.length > 5 ? `, and ${names.length - 5} more` : ''}.`;
  return names.some((name) => OWN_UNIT.test(name)) ? fail(evidence, hint) : warn(evidence, hint);
}

const KERNEL = /^vmlinuz-(\d.*)$/;

function newestKernel(names: readonly string[]): string | null {
  const versions = names.flatMap((name) => KERNEL.exec(name)?.[1] ?? []);
  return versions.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) ?? null;
}

/** What is not as it should be, the worst first; several can be true at once. */
async function image(context: HealthContext): Promise<Finding | null> {
  const { machine, figures, nowMs } = context;
  const boot = (await machine.list('/boot')) ?? [];
  const current = await machine.linkTarget('/run/current-system');
  const newest = newestKernel(boot);
  if (current === null && newest === null) return null;
  const found: string[] = [];
  const failed = await ask(context, ['systemctl', 'is-failed', 'nixos-upgrade.service']);
  const bootSpace = figures.fresh('disk_free', 'fs').find(({ sub }) => sub === '/boot' || sub === '/boot/efi');
  if (bootSpace !== undefined && levelOf(bootSpace.value, context.limit('system.boot-space')) !== 'ok')
    found.push(`only ${formatBytes(bootSpace.value)} are left on ${bootSpace.sub}: no room for two more kernels`);
  if (current !== null) {
    const [booted, now] = [
      await machine.linkTarget('/run/booted-system/kernel'),
      await machine.linkTarget('/run/current-system/kernel'),
    ];
    if (booted !== null && now !== null && booted !== now) found.push('a newer kernel waits for a restart');
    const made = await machine.readText('/run/current-system/nixos-version');
    const profile = await machine.readText('/nix/var/nix/profiles/system/nixos-version');
    if (made !== null && profile !== null && made !== profile)
      found.push('the running system is not the one that starts next');
    const date = Date.parse(
      /\.(20\d{2})(\d{2})(\d{2})\./
        .exec(made ?? '')
        ?.slice(1, 4)
        .join('-') ?? '',
    );
    const age = (nowMs - date) / DAY_MS;
    if (!Number.isNaN(age) && levelOf(age, context.limit('system.age')) !== 'ok')
      found.push(`the system was made ${days(age)} ago`);
  } else if (newest !== null && newest !== machine.kernelRelease())
    found.push(`kernel ${newest} is installed, and ${machine.kernelRelease()} runs`);
  else if ((await machine.facts('/run/reboot-required')) !== null) found.push('an update waits for a restart');
  const hint =
    'Plan a restart, with VMs shut down or moved first. Room for kernels: `nix-collect-garbage -d`, or `apt-get autoremove`.';
  if (failed?.trim() === 'failed')
    return fail('The last upgrade of the system failed.', 'See why: `journalctl -u nixos-upgrade.service`.');
  if (found.length > 0)
    return warn(
      `${found.join('; ')}.`.replace(/^./, (first) => first.toUpperCase()),
      hint,
    );
  return ok('The newest kernel runs, and nothing waits for a restart.');
}

export const systemChecks: readonly HealthCheck[] = [
  {
    id: 'system.time',
    number: 26,
    title: 'Clock',
    meaning: 'Whether the clock follows a time source. Certificates, schedules and the audit log need it.',
    warnsWhen: 'it follows none 17 minutes after the start',
    limits: ['system.time'],
    everyMs: 5 * MINUTE_MS,
    isAnnounced: true,
    run: time,
  },
  {
    id: 'system.units',
    number: 27,
    title: 'Units of systemd',
    meaning: 'Whether a service of the host has failed. Only where systemd runs.',
    warnsWhen: 'a unit has failed',
    failsWhen: 'a unit of hyperd has failed',
    limits: [],
    everyMs: MINUTE_MS,
    run: units,
  },
  {
    id: 'system.image',
    number: 40,
    title: 'Updates of the host',
    meaning:
      'Whether a newer kernel or system waits for a restart, how old the system is, and whether there is room for the next kernels.',
    warnsWhen: 'a restart is due, or the running system is not the one that starts next',
    failsWhen: 'the last automatic upgrade of NixOS failed',
    limits: ['system.boot-space', 'system.age'],
    everyMs: HOUR_MS,
    isAnnounced: true,
    run: image,
  },
];
