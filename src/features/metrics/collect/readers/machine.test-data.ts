/** Files as kernels make them below /proc and /sys, for the tests of the readers: shapes by the kernel's documentation, numbers invented
 *  everywhere. */

import type { KernelFiles } from '../kernel-files.ts';

/** Kernel files out of a table of paths and texts; folders follow from the paths. */
export function recordedFiles(files: Readonly<Record<string, string>>): KernelFiles {
  return {
    read: async (path) => files[path] ?? null,
    list: async (path) => {
      const below = Object.keys(files).filter((file) => file.startsWith(`${path}/`));
      return [...new Set(below.map((file) => file.slice(path.length + 1).split('/')[0] ?? ''))].sort();
    },
  };
}

export const SENSORS = {
  '/sys/class/hwmon/hwmon0/name': 'coretemp\n',
  '/sys/class/hwmon/hwmon0/temp1_input': '54000\n',
  '/sys/class/hwmon/hwmon0/temp1_label': 'Package id 0\n',
  '/sys/class/hwmon/hwmon0/temp1_crit': '100000\n',
  '/sys/class/hwmon/hwmon0/temp2_input': '51500\n',
  '/sys/class/hwmon/hwmon0/temp2_label': 'Core 0\n',
  '/sys/class/hwmon/hwmon1/name': 'nvme\n',
  '/sys/class/hwmon/hwmon1/device/nvme0n1/size': '1000215216\n',
  '/sys/class/hwmon/hwmon1/device/model': 'Example\n',
  '/sys/class/hwmon/hwmon1/temp1_input': '38850\n',
  '/sys/class/hwmon/hwmon1/temp1_label': 'Composite\n',
  '/sys/class/hwmon/hwmon1/temp2_input': '44850\n',
  '/sys/class/hwmon/hwmon1/temp2_label': 'Sensor 1\n',
  '/sys/class/hwmon/hwmon2/name': 'drivetemp\n',
  '/sys/class/hwmon/hwmon2/device/block/sda/size': '7814037168\n',
  '/sys/class/hwmon/hwmon2/temp1_input': '31000\n',
  '/sys/class/hwmon/hwmon3/name': 'coretemp\n',
  '/sys/class/hwmon/hwmon3/temp1_input': '49000\n',
  '/sys/class/hwmon/hwmon3/temp1_label': 'Package id 0\n',
};

/** Not connected, out of order, silent, and no temperature at all. */
export const BROKEN_SENSORS = {
  '/sys/class/hwmon/hwmon0/name': 'nct6775\n',
  '/sys/class/hwmon/hwmon0/temp1_input': '-128000\n',
  '/sys/class/hwmon/hwmon0/temp2_input': '40000\n',
  '/sys/class/hwmon/hwmon0/temp2_fault': '1\n',
  '/sys/class/hwmon/hwmon0/temp3_input': '',
  '/sys/class/hwmon/hwmon0/temp4_input': 'N/A\n',
  '/sys/class/hwmon/hwmon0/fan1_input': '1200\n',
};

export const MEMORY_CONTROLLERS = {
  '/sys/devices/system/edac/mc/power/control': 'auto\n',
  '/sys/devices/system/edac/mc/mc0/ce_count': '3\n',
  '/sys/devices/system/edac/mc/mc0/ue_count': '0\n',
  '/sys/devices/system/edac/mc/mc1/ce_count': '0\n',
  '/sys/devices/system/edac/mc/mc1/ue_count': '1\n',
};

export const MDSTAT_GOOD = `Personalities : [raid1] [raid6] [raid5] [raid4] [raid0]
md1 : active raid6 sdf1[3] sde1[2] sdd1[1] sdc1[0]
      15627790336 blocks super 1.2 level 6, 512k chunk, algorithm 2 [4/4] [UUUU]
      [==>..................]  check = 11.2% (876543210/7813895168) finish=612.3min speed=188812K/sec
      bitmap: 0/59 pages [0KB], 65536KB chunk

md0 : active raid1 sdb1[1] sda1[0]
      976630464 blocks super 1.2 [2/2] [UU]
      bitmap: 2/8 pages [8KB], 65536KB chunk

md9 : active raid0 sdh1[1] sdg1[0]
      1953258496 blocks super 1.2 512k chunks

unused devices: <none>
`;

export const MDSTAT_BROKEN = `Personalities : [raid1] [raid6] [raid5] [raid4]
md0 : active raid1 sdb1[1](F) sda1[0]
      976630464 blocks super 1.2 [2/1] [U_]

md1 : active raid5 sde1[3] sdd1[1] sdc1[0]
      1953260544 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [UU_]
      [=====>...............]  recovery = 28.4% (277654321/976630272) finish=91.0min speed=127912K/sec

md2 : inactive sdg1[1](S)
      976630464 blocks super 1.2

md3 : active (auto-read-only) raid1 sdj1[1] sdi1[0]
      976630464 blocks super 1.2 [2/2] [UU]
      	resync=PENDING

unused devices: <none>
`;

export const DISKSTATS = `   7       0 loop0 61 0 132 20 0 0 0 0 0 24 20 0 0 0 0 0 0
 259       0 nvme0n1 88012 103 5120344 20021 40100 2210 2048000 9032 0 51000 30111 0 0 0 0 110 1058
 259       1 nvme0n1p1 120 0 9000 30 2 0 2 0 0 40 31 0 0 0 0 0 0
   8       0 sda 10 0 80 5 0 0 0 0 0 5 5
 broken line
`;

export const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 3204460   12210    0    0    0     0          0         0  3204460   12210    0    0    0     0       0          0
  eno1:98765432 1234567    2    5    0     0          0      9001 43210987  765432    1    0    0     0       0          0
vnet3: 5000 50 0 0 0 0 0 0 6000 60 0 0 0 0 0 0
 br0: 7000 70 0 0 0 0 0 0 8000 80 0 0 0 0 0 0
`;

export const PRESSURE_IO = `some avg10=0.00 avg60=0.05 avg300=0.11 total=170551443
full avg10=0.00 avg60=0.03 avg300=0.08 total=131021111
`;

/** Pages of 2 MiB, some promised and not yet used; none of 1 GiB. KSM at work. */
export const HUGE_PAGES = {
  '/proc/self/smaps': 'KernelPageSize:        4 kB\n',
  '/proc/meminfo': 'MemTotal:       32768000 kB\nAnonHugePages:    479232 kB\nHugePages_Total:    1024\n',
  '/sys/kernel/mm/ksm/run': '1\n',
  '/sys/kernel/mm/ksm/pages_shared': '500\n',
  '/sys/kernel/mm/ksm/pages_sharing': '25600\n',
  '/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages': '0\n',
  '/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages': '0\n',
  '/sys/kernel/mm/hugepages/hugepages-1048576kB/resv_hugepages': '0\n',
  '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages': '1024\n',
  '/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages': '512\n',
  '/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages': '256\n',
};

const slave = (name: string, status: string) => `
Slave Interface: ${name}
MII Status: ${status}
Speed: 10000 Mbps
Duplex: full
Link Failure Count: 1
Permanent HW addr: 02:00:00:00:00:01
Slave queue ID: 0
`;
/** @param statuses of its cards */
export const bonding = (...statuses: readonly string[]) => `Ethernet Channel Bonding Driver: v6.1.0

Bonding Mode: fault-tolerance (active-backup)
Primary Slave: None
Currently Active Slave: eno1
MII Status: up
MII Polling Interval (ms): 100
${statuses.map((status, n) => slave(`eno${n + 1}`, status)).join('')}`;

export const VM_GROUP = '/sys/fs/cgroup/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope';

/** A host with control groups of version 2, systemd, and one QEMU with process id 4711. */
export const CGROUP_V2 = {
  '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma misc\n',
  '/proc/4711/status': 'Name:\tqemu-system-x86\nVmRSS:\t  301056 kB\nThreads:\t5\n',
  '/proc/4711/cgroup': '0::/machine.slice/machine-qemu\\x2d3\\x2dweb1.scope/libvirt/emulator\n',
  [`${VM_GROUP}/cpu.stat`]:
    'usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\nnr_periods 0\nnr_throttled 7\nthrottled_usec 0\n',
  [`${VM_GROUP}/memory.events`]: 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\noom_group_kill 0\n',
  [`${VM_GROUP}/cpu.pressure`]:
    'some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
  [`${VM_GROUP}/memory.pressure`]:
    'some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
};
