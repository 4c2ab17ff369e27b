/** Answers of programs that look at hardware and storage, for the tests of the readers: shapes by the programs' manuals, shortened, with
 *  invented names and numbers. None was recorded on a machine that has the thing. */

const ata = (passed: boolean, attributes: readonly (readonly [number, string, number, number])[], rotation: number) =>
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
    temperature: { current: 34 },
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
export const SMART_SSD = ata(true, [[177, 'Wear_Leveling_Count', 93, 120]], 0);
export const SMART_SSD_WORN = ata(true, [[231, 'SSD_Life_Left', 6, 6]], 0);

const nvme = (log: Readonly<Record<string, number>>) =>
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
      media_errors: 0,
      ...log,
    },
    temperature: { current: 39 },
  });

export const SMART_NVME = nvme({});
export const SMART_NVME_SPARE_GONE = nvme({ available_spare: 8 });
export const SMART_NVME_MEDIA_ERRORS = nvme({ media_errors: 2 });
export const SMART_NVME_WORN_OUT = nvme({ percentage_used: 104 });

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
