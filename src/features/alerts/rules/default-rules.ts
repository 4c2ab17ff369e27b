/** The rules that come with the program and are on from the start. Each can be changed or switched off; the thresholds are chosen so that
 *  a healthy machine never hears of them. A rule over figures that this machine has none of never fires. */

import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import type { Severity } from '#contract/alerts-config.ts';

interface DefaultRule {
  readonly name: string;
  readonly condition: string;
  readonly severity: Severity;
  readonly description: string;
}

const info = (name: string, condition: string, description: string): DefaultRule => ({
  name,
  condition,
  severity: 'info',
  description,
});
const warning = (...args: Parameters<typeof info>): DefaultRule => ({ ...info(...args), severity: 'warning' });
const critical = (...args: Parameters<typeof info>): DefaultRule => ({ ...info(...args), severity: 'critical' });

const VM_RULES: readonly DefaultRule[] = [
  critical(
    'vm_down',
    'vm_state == off or vm_state == crashed for 1m',
    'It should be running. Read the end of its serial console, then start it again, or stop it for good with `hv vm stop`.',
  ),
  critical(
    'vm_paused_by_error',
    'vm_pause_reason == io_error or vm_pause_reason == enospc',
    'Writing to one of its disks failed, so it was paused before anything was lost. Free space where its disks lie, then resume it.',
  ),
  warning(
    'vm_paused',
    'vm_state == paused for 30m',
    'It should be running. Resume it with `hv vm resume`, or stop it.',
  ),
  warning(
    'vm_crashed',
    'increase(vm_crash_total, 10m) >= 1',
    'The guest, or the QEMU process that ran it, ended by itself. Read the end of its serial console.',
  ),
  critical(
    'vm_crash_loop',
    'increase(vm_crash_total, 1h) >= 3',
    'It crashes again and again. Leave it off until the cause is found.',
  ),
  warning('vm_watchdog', 'increase(vm_watchdog_total, 10m) >= 1', 'Its watchdog ran out: the guest hung.'),
  warning(
    'vm_monitor_stuck',
    'vm_monitor_stuck > 30s',
    'Its QEMU process does not answer libvirt. Often its storage hangs: look at the load of its disks and at `dmesg`.',
  ),
  critical(
    'vm_monitor_stuck_long',
    'vm_monitor_stuck > 5m',
    'Its QEMU process has not answered libvirt for minutes. Nothing can be changed on this VM; its guest may hang too.',
  ),
  info(
    'vm_agent_silent',
    'vm_agent_up == 0 for 15m',
    'It has a channel for the guest agent, and no agent answers. Start or install qemu-guest-agent in the guest.',
  ),
  warning(
    'vm_steal',
    'avg(cpu_steal, 15m) > 30%',
    'It waits for processors of the host. Move VMs away or give it fewer vCPUs.',
  ),
  warning('guest_disk_filling', 'disk_usage{kind=guestfs} > 90% for 10m', 'Free space in the guest, or grow its disk.'),
  critical('guest_disk_full', 'disk_usage{kind=guestfs} > 97% for 5m', 'Free space in the guest, or grow its disk.'),
  warning(
    'snapshot_chain_long',
    'snapshot_chain > 15 for 1h',
    'Long chains make disks slow and fragile. Delete old snapshots.',
  ),
  info(
    'snapshot_old',
    'snapshot_age > 30d for 1h',
    'A snapshot grows for as long as it is kept. Delete it when it is not needed.',
  ),
  warning(
    'backup_failed',
    'backup_state == failed for 10m',
    'Its last backup failed; look at the operation for the reason.',
  ),
  warning(
    'backup_old',
    'age(backup_last_success) > 8d for 1h',
    'Its newest restore point is more than a week old. Back it up.',
  ),
  warning(
    'backup_missing',
    'backup_state == missed for 1h',
    'Its schedule asked for a newer restore point than there is. See `hv backup runs` for the reason, then back it up.',
  ),
  warning(
    'backup_unproven',
    'age(backup_last_verified) > 16d for 1h',
    'No restore point of it was proven to start for two weeks: `hv verify run NAME`.',
  ),
  warning(
    'backup_proof_unsure',
    'backup_proofs_unsure >= 3 for 5m',
    'Three proofs in a row did not show whether it restores: nobody knows. `hv verify list --vm NAME` has the reasons.',
  ),
  critical(
    'backup_corrupt',
    'backup_points_bad > 0 for 5m',
    'A check found damage in restore points of it. `hv backup list --vm NAME` shows which; the next backup heals what it can.',
  ),
];

const HOST_RULES: readonly DefaultRule[] = [
  warning(
    'backup_copy_late',
    'backup_copy_wait > 24h for 10m',
    'A restore point has waited for its second copy for a day: until it is there this machine holds the only one. `hv health backups.copies` names the copy.',
  ),
  critical(
    'libvirt_down',
    'libvirt_up == 0 for 1m',
    'libvirt does not answer. VMs go on running; nothing of them can be seen or changed. Start it: `systemctl start libvirtd`.',
  ),
  warning('host_cpu_busy', 'avg(cpu_usage{kind=host}, 15m) > 95%', 'See with `hv top` which VMs use it.'),
  warning(
    'host_cpu_pressure',
    'avg(cpu_psi_some{kind=host}, 15m) > 80%',
    'Programs wait for processors most of the time. There are too many busy vCPUs.',
  ),
  warning('host_memory_low', 'mem_usage{kind=host} > 92% for 10m', 'Stop VMs or give them less memory.'),
  critical(
    'host_memory_full',
    'mem_usage{kind=host} > 97% for 5m',
    'The kernel is about to end programs. Stop VMs or give them less memory.',
  ),
  warning(
    'host_memory_pressure',
    'avg(mem_psi_full{kind=host}, 10m) > 10%',
    'Everything waits for memory part of the time. Stop VMs or give them less memory.',
  ),
  warning(
    'host_io_pressure',
    'avg(io_psi_full{kind=host}, 15m) > 40%',
    'Everything waits for disks. Find the VM that writes most.',
  ),
  warning('host_swap_full', 'swap_usage > 85% for 15m', 'More memory is promised than there is.'),
  warning(
    'oom_kill',
    'increase(oom_kill_total, 30m) >= 1',
    'The kernel ended a program because memory ran out; it may have been a VM. See `journalctl -k`.',
  ),
  warning('conntrack_full', 'conntrack_usage > 90% for 5m', 'New connections will be dropped. Raise nf_conntrack_max.'),
  warning(
    'bond_degraded',
    'bond_cards_down > 0 for 2m',
    'A card of a bond has no link, so that nothing is left to stand in. Look at its cable and the port of the switch.',
  ),
  warning(
    'clock_off',
    'time_offset > 1s or time_offset < -1s for 15m',
    'The clock of the host is wrong. See `timedatectl`.',
  ),
  warning('service_failed', 'service_state == failed for 15m', 'A unit of systemd has failed: `systemctl --failed`.'),
  warning(
    'sign_ins_refused',
    'increase(auth_failures_total, 10m) > 50',
    'Somebody may be guessing. See `hv audit list --outcome denied`.',
  ),
  warning(
    'certificate_ends',
    'age(cert_expiry) > -14d for 1h',
    'The certificate of the dashboard ends within two weeks. Renew it.',
  ),
  critical(
    'certificate_over',
    'age(cert_expiry) > -2d for 1h',
    'The certificate of the dashboard ends within two days. Renew it.',
  ),
  critical('ups_battery_low', 'ups_state == low_battery', 'The UPS is nearly empty. Shut the VMs down.'),
  warning('ups_on_battery', 'ups_state == on_battery for 1m', 'The mains are gone.'),
  warning(
    'dead_letters',
    'dead_letters > 0 for 5m',
    'Notices could not be delivered and were given up. `hv notice list` names them and the channel.',
  ),
  warning('notices_stuck', 'outbox_oldest > 10m for 5m', 'Notices wait for a channel that does not take them.'),
  warning(
    'figures_missed',
    'increase(collector_missed_total, 10m) > 20',
    'Measuring takes too long, so figures have holes. The host is overloaded, or one of its parts hangs.',
  ),
];

const STORAGE_RULES: readonly DefaultRule[] = [
  warning('disk_filling', 'disk_usage{kind=fs} > 88% for 5m', 'Free space on this file system.'),
  critical(
    'disk_full',
    'disk_usage{kind=fs} > 95% for 1m',
    'Free space on this file system now; VMs pause when it is full.',
  ),
  warning('pool_filling', 'disk_usage{kind=pool} > 88% for 5m', 'Free space in this pool, or extend it.'),
  critical(
    'pool_full',
    'disk_usage{kind=pool} > 95% for 1m',
    'Free space in this pool now; VMs pause when it is full.',
  ),
  warning('inodes_filling', 'inode_usage > 92% for 10m', 'Too many small files; see `df -i`.'),
  warning(
    'disk_fills_fast',
    'disk_free / rate(disk_used, 1h) < 8h for 10m',
    'At this pace it is full within hours. Stop the writer.',
  ),
  info(
    'disk_will_fill',
    'predict(disk_usage, 7d) > 95% for 1h',
    'At the pace of the last weeks it is full within days.',
  ),
  critical('thin_tables_full', 'thin_meta_usage > 85% for 1m', 'Extend the metadata of the thin pool before its data.'),
  warning('thin_data_filling', 'thin_data_usage > 85% for 5m', 'Extend the thin pool.'),
  critical(
    'pool_damaged',
    'pool_state == degraded or pool_state == faulted',
    'Look at `zpool status`, or at what the pool lies on.',
  ),
  critical('raid_damaged', 'raid_state == degraded or raid_state == failed', 'Replace the disk; see /proc/mdstat.'),
  critical(
    'disk_failing',
    'smart_state == failed',
    'The disk says that it fails. Back up what lies on it and replace it.',
  ),
  warning(
    'disk_ails',
    'smart_state == warning for 1h',
    'The disk has bad sectors or spare ones run out. Plan to replace it.',
  ),
  warning('disk_worn', 'wear > 90% for 1h', 'A flash disk is near the end of its life. Plan to replace it.'),
  warning('disk_hot', 'temperature{kind=disk} > 60°C for 10m', 'Look at the fans and the air flow.'),
  warning('host_hot', 'temperature{kind=sensor} > 95°C for 10m', 'Look at the fans and the air flow.'),
  critical('memory_broken', 'increase(ecc_uncorrectable_total, 1h) >= 1', 'A memory module is broken. Replace it.'),
  warning(
    'memory_ails',
    'increase(ecc_correctable_total, 24h) >= 10',
    'A memory module makes errors that are still repaired.',
  ),
];

export const DEFAULT_RULES: readonly AlertRuleSpec[] = [...VM_RULES, ...HOST_RULES, ...STORAGE_RULES].map(
  ({ name, condition, severity, description }) => ({
    name,
    condition,
    severity,
    description,
    cooldown: severity === 'info' ? '24h' : '30m',
    clear: null,
    keepFiring: null,
    noData: 'keep',
    labels: {},
    runbook: null,
    channels: null,
    desiredOnly: true,
    enabled: true,
    project: null,
  }),
);
