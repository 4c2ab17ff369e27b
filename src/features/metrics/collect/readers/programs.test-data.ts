/** Answers of programs that look at hardware and storage, for the tests of the readers: shapes by the programs' manuals, shortened, with
 *  invented names and numbers. None was recorded on a machine that has the thing. */

const ata = (
  passed: boolean,
  attributes: readonly (readonly [number, string, number, number])[],
  rotation: number,
  more: Readonly<Record<string, unknown>> = {},
) =>
  JSON.stringify({
    json_format_version: [1, 0],
    smartctl: { version: [7, 3], exit_status: passed ? 0 : 8 },
    device: { name: '/dev/sda', info_name: '/dev/sda [SAT]', type: 'sat', protocol: 'ATA' },
    model_name: 'Example 4 TB',
    rotation_rate: rotation,
    smart_status: { passed },
    ata_smart_attributes: {
      revision: 16,
      table: attributes.map(([id, name, value, raw]) => ({
        id,
        name,
        value,
        worst: value,
        thresh: 0,
        raw: { value: raw, string: String(raw) },
      })),
    },
    power_on_time: { hours: 21_034 },
    power_cycle_count: 61,
    temperature: { current: 34 },
    ...more,
  });

export const SMART_HARD_DISK = ata(
  true,
  [
    [5, 'Reallocated_Sector_Ct', 100, 0],
    // Of a turning disk this is no wear.
    [177, 'Some_Makers_Own', 40, 1],
    [197, 'Current_Pending_Sector', 100, 0],
    [198, 'Offline_Uncorrectable', 100, 0],
  ],
  7200,
);
export const SMART_PENDING = ata(true, [[197, 'Current_Pending_Sector', 100, 8]], 5400);
export const SMART_FAILED = ata(false, [[5, 'Reallocated_Sector_Ct', 1, 4711]], 7200);

/** @param now byte of the self-test that runs or ran @param log bytes of those that ended, the newest first */
const selfTests = (now: number, log: readonly number[]) => ({
  ata_smart_data: { self_test: { status: { value: now, string: 'as the value says' }, polling_minutes: { short: 2 } } },
  ata_smart_self_test_log: {
    standard:
      log.length === 0
        ? { revision: 1, count: 0 }
        : {
            revision: 1,
            table: log.map((value, n) => ({
              type: { value: 1, string: 'Short offline' },
              status: { value, string: 'as the value says' },
              lifetime_hours: 20_000 - n,
            })),
            count: log.length,
          },
  },
});
/** All that is counted, with the attribute into whose upper bytes makers put more. */
export const SMART_COUNTING = ata(
  true,
  [
    [4, 'Start_Stop_Count', 100, 60],
    [5, 'Reallocated_Sector_Ct', 100, 3],
    [12, 'Power_Cycle_Count', 100, 59],
    [187, 'Reported_Uncorrect', 100, 0],
    [188, 'Command_Timeout', 100, 4_295_032_853],
    [192, 'Power-Off_Retract_Count', 100, 17],
    [197, 'Current_Pending_Sector', 100, 0],
    [198, 'Offline_Uncorrectable', 100, 0],
    [199, 'UDMA_CRC_Error_Count', 200, 5],
  ],
  7200,
  selfTests(0, [0, 121]),
);
export const SMART_REPORTED_ERRORS = ata(true, [[187, 'Reported_Uncorrect', 98, 2]], 7200, selfTests(0, []));
export const SMART_TEST_FAILED = ata(true, [], 7200, selfTests(121, [121, 0]));
export const SMART_TEST_RUNS = ata(true, [], 7200, selfTests(249, [121]));
export const SMART_TEST_ABORTED = ata(true, [], 7200, selfTests(25, [25]));
export const SMART_SAS = JSON.stringify({
  device: { name: '/dev/sdc', type: 'scsi', protocol: 'SCSI' },
  smart_status: { passed: true },
  rotation_rate: 10_000,
  scsi_grown_defect_list: 2,
  power_on_time: { hours: 100, minutes: 12 },
  temperature: { current: 30, drive_trip: 65 },
});
export const SMART_SSD = ata(true, [[177, 'Wear_Leveling_Count', 93, 120]], 0);
export const SMART_SSD_WORN = ata(true, [[231, 'SSD_Life_Left', 6, 6]], 0);

const nvme = (log: Readonly<Record<string, number>>, more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({
    json_format_version: [1, 0],
    smartctl: { version: [7, 3], exit_status: 0 },
    device: { name: '/dev/nvme0n1', type: 'nvme', protocol: 'NVMe' },
    smart_status: { passed: true, nvme: { value: 0 } },
    nvme_smart_health_information_log: {
      critical_warning: 0,
      temperature: 39,
      available_spare: 100,
      available_spare_threshold: 10,
      percentage_used: 3,
      power_cycles: 40,
      power_on_hours: 5_000,
      unsafe_shutdowns: 12,
      media_errors: 0,
      ...log,
    },
    temperature: { current: 39 },
    ...more,
  });

export const SMART_NVME = nvme({});
export const SMART_NVME_SPARE_GONE = nvme({ available_spare: 8 });
export const SMART_NVME_MEDIA_ERRORS = nvme({ media_errors: 2 });
export const SMART_NVME_WORN_OUT = nvme({ percentage_used: 104 });

const nvmeTests = (running: number, results: readonly number[]) => ({
  nvme_self_test_log: {
    current_self_test_operation: { value: running, string: 'as the value says' },
    table: results.map((value) => ({
      self_test_code: { value: 2, string: 'Extended' },
      self_test_result: { value, string: 'as the value says' },
      power_on_hours: 4_000,
    })),
  },
});
export const SMART_NVME_TEST_FAILED = nvme({}, nvmeTests(0, [7, 0]));
export const SMART_NVME_TEST_ABORTED = nvme({}, nvmeTests(0, [2]));
export const SMART_NVME_TEST_RUNS = nvme({}, nvmeTests(2, [0]));
export const SMART_NVME_TESTED = nvme({}, nvmeTests(0, [0, 7]));
export const SMART_NVME_UNTESTED = nvme({}, nvmeTests(0, []));

/** Exit status 1: a device of no known kind, as the disks of VMs. */
export const SMART_UNSUPPORTED = JSON.stringify({
  smartctl: {
    version: [7, 3],
    messages: [{ string: '/dev/vda: Unable to detect device type', severity: 'error' }],
    exit_status: 1,
  },
});
/** Exit status 2. */
export const SMART_STANDBY = JSON.stringify({
  smartctl: { messages: [{ string: 'Device is in STANDBY mode, exit(2)', severity: 'information' }], exit_status: 2 },
});
/** The device opened, and has no such log. */
export const SMART_SILENT = JSON.stringify({ smartctl: { exit_status: 4 }, device: { type: 'scsi' } });

export const ZPOOLS =
  'rpool\t255013683200\t103381655552\t151632027648\tONLINE\ntank\t7971459301376\t6000000000000\t1971459301376\tDEGRADED\n';
export const ZPOOLS_BROKEN = 'old\t-\t-\t-\tUNAVAIL\nstrange\t1\t2\t3\tNEWSTATE\nno pool at all\n';

const lv = (name: string, segtype: string, size: number, more: Readonly<Record<string, string>>) => ({
  vg_name: 'vg0',
  lv_name: name,
  segtype,
  lv_size: String(size),
  data_percent: '',
  metadata_percent: '',
  pool_lv: '',
  ...more,
});
export const LVS = JSON.stringify({
  report: [
    {
      lv: [
        lv('root', 'linear', 20_000_000_000, {}),
        lv('thin', 'thin-pool', 100_000_000_000, { data_percent: '62.50', metadata_percent: '81.20' }),
        lv('vm1', 'thin', 90_000_000_000, { data_percent: '50.00', pool_lv: 'thin' }),
        lv('vm2', 'thin', 60_000_000_000, { data_percent: '29.17', pool_lv: 'thin' }),
      ],
    },
  ],
});
/** A pool that is not active tells no percentages. */
export const LVS_INACTIVE = JSON.stringify({ report: [{ lv: [lv('thin', 'thin-pool', 100_000_000_000, {})] }] });
export const LVS_NONE = JSON.stringify({ report: [{ lv: [] }] });

const ceph = (status: string) =>
  JSON.stringify({
    fsid: '00000000-0000-0000-0000-000000000000',
    health: { status, checks: {}, mutes: [] },
    pgmap: { num_pgs: 129, bytes_used: 400_000, bytes_avail: 600_000, bytes_total: 1_000_000 },
  });
export const CEPH_GOOD = ceph('HEALTH_OK');
export const CEPH_WARN = ceph('HEALTH_WARN');
export const CEPH_ERROR = ceph('HEALTH_ERR');

export const UPS_ON_LINE = `battery.charge: 100
battery.runtime: 2460
device.mfr: EXAMPLE
input.voltage: 229.0
ups.load: 21
ups.status: OL CHRG
`;
export const UPS_ON_BATTERY = 'battery.charge: 63\nups.status: OB DISCHRG\n';
export const UPS_LOW = 'battery.charge: 9\nups.status: OB LB DISCHRG\n';
/** What upsd says while its driver is gone is no status at all. */
export const UPS_SILENT = 'device.mfr: EXAMPLE\n';

export const CHRONY_TRACKING =
  'C0000201,192.0.2.1,3,1767225600.123456789,-0.000021445,0.000018273,0.000103215,-12.345,0.001,0.045,0.011250000,0.000760000,1038.0,Normal\n';
export const CHRONY_NO_SOURCE =
  '00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised\n';
