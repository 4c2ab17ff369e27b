/** What a tenant must never get into a definition, one thing at a time, for the unit test of the rules and for the hostile rows. */

export interface ForbiddenPart {
  readonly name: string;
  /** Where it must be found. */
  readonly path: string;
  /** Replaces the first match in a definition of ours. */
  readonly at: RegExp;
  readonly by: string;
}

const intoDevices = (name: string, path: string, markup: string): ForbiddenPart => ({
  name,
  path: `/domain/devices/${path}`,
  at: /<\/devices>/,
  by: `${markup}</devices>`,
});
const intoDomain = (name: string, path: string, markup: string): ForbiddenPart => ({
  name,
  path: `/domain/${path}`,
  at: /<devices>/,
  by: `${markup}<devices>`,
});

const QEMU = 'http://libvirt.org/schemas/domain/qemu/1.0';

export const FORBIDDEN_PARTS: readonly ForbiddenPart[] = [
  intoDevices(
    'disk from a file of the host',
    'disk/source@file',
    '<disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="/etc/shadow"/><target dev="vdx" bus="virtio"/></disk>',
  ),
  intoDevices(
    'drive with a file of the host',
    'disk/source@file',
    '<disk type="file" device="cdrom"><driver name="qemu" type="raw"/><source file="/etc/shadow"/><target dev="sdx" bus="sata"/><readonly/></disk>',
  ),
  intoDevices(
    'disk from a device of the host',
    'disk',
    '<disk type="block" device="disk"><driver name="qemu" type="raw"/><source dev="/dev/sda"/><target dev="vdx" bus="virtio"/></disk>',
  ),
  intoDevices(
    'disk over the network',
    'disk',
    '<disk type="network" device="disk"><driver name="qemu" type="raw"/><source protocol="nbd" name="x"><host name="10.0.0.1"/></source><target dev="vdx" bus="virtio"/></disk>',
  ),
  intoDevices(
    'disk from a pool',
    'disk',
    '<disk type="volume" device="disk"><driver name="qemu" type="raw"/><source pool="hyper" volume="x"/><target dev="vdx" bus="virtio"/></disk>',
  ),
  intoDevices(
    'disk that builds upon a file of the host',
    'disk',
    '<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><backingStore type="file"><format type="raw"/><source file="/etc/shadow"/></backingStore><target dev="vdx" bus="virtio"/></disk>',
  ),
  intoDevices(
    'NIC without a traffic filter',
    'interface/filterref',
    '<interface type="network"><source network="lab"/><model type="virtio"/></interface>',
  ),
  intoDevices(
    'NIC that lets everything out',
    'interface/filterref@filter',
    '<interface type="network"><source network="lab"/><model type="virtio"/><filterref filter="hyper-off"/></interface>',
  ),
  intoDevices(
    'NIC with a filter of another program',
    'interface/filterref@filter',
    '<interface type="bridge"><source bridge="br0"/><model type="virtio"/><filterref filter="allow-arp"/></interface>',
  ),
  intoDevices(
    'NIC that says itself which address is its own',
    'interface/filterref/parameter@name',
    '<interface type="network"><source network="lab"/><filterref filter="hyper-mac-ip"><parameter name="IP" value="192.0.2.1"/></filterref></interface>',
  ),
  intoDevices(
    'folder of the host',
    'filesystem',
    '<filesystem type="mount"><source dir="/"/><target dir="host"/></filesystem>',
  ),
  intoDevices(
    'host device',
    'hostdev',
    '<hostdev mode="subsystem" type="usb"><source><vendor id="0x1234"/><product id="0xbeef"/></source></hostdev>',
  ),
  intoDevices('own emulator', 'emulator', '<emulator>/tmp/evil.sh</emulator>'),
  intoDevices('emulator beside the right one', 'emulator', '<emulator>/usr/bin/qemu-system-x86_64/../sh</emulator>'),
  intoDevices(
    'serial port to a file',
    'serial',
    '<serial type="file"><source path="/etc/cron.d/x"/><target port="1"/></serial>',
  ),
  intoDevices(
    'serial port to a socket of the host',
    'serial',
    '<serial type="unix"><source mode="connect" path="/run/docker.sock"/><target port="1"/></serial>',
  ),
  intoDevices(
    'log into a file of the host',
    'serial/log@file',
    '<serial type="pty"><log file="/etc/cron.d/x"/><target port="1"/></serial>',
  ),
  intoDevices(
    'channel to a socket of the host',
    'channel/source',
    '<channel type="unix"><source mode="connect" path="/run/docker.sock"/><target type="virtio" name="x"/></channel>',
  ),
  intoDevices(
    'network of another',
    'interface/source@network',
    '<interface type="network"><source network="secret"/><model type="virtio"/></interface>',
  ),
  intoDevices(
    'bridge of another',
    'interface/source@bridge',
    '<interface type="bridge"><source bridge="br-secret"/><model type="virtio"/></interface>',
  ),
  intoDevices(
    'card on the wire',
    'interface',
    '<interface type="direct"><source dev="eth0" mode="bridge"/></interface>',
  ),
  intoDevices(
    'script for a card',
    'interface',
    '<interface type="ethernet"><script path="/tmp/evil.sh"/><model type="virtio"/></interface>',
  ),
  intoDevices('screen on the network', 'graphics', '<graphics type="vnc" port="5900" listen="0.0.0.0"/>'),
  intoDevices('screen of another kind', 'graphics@type', '<graphics type="spice"/>'),
  intoDevices(
    'host random device of choice',
    'rng/backend',
    '<rng model="virtio"><backend model="random">/dev/sda</backend></rng>',
  ),
  intoDevices(
    'TPM of the host',
    'tpm/backend',
    '<tpm model="tpm-tis"><backend type="passthrough"><device path="/dev/tpm0"/></backend></tpm>',
  ),
  intoDevices('smart card of the host', 'smartcard', '<smartcard mode="host"/>'),
  intoDevices(
    'redirected USB',
    'redirdev',
    '<redirdev bus="usb" type="tcp"><source mode="connect" host="localhost" service="4000"/></redirdev>',
  ),
  intoDevices(
    'shared memory of the host',
    'shmem',
    '<shmem name="x"><model type="ivshmem-plain"/><size unit="M">4</size></shmem>',
  ),
  intoDevices(
    'memory from a file',
    'memory',
    '<memory model="nvdimm"><source><path>/etc/shadow</path></source></memory>',
  ),
  intoDevices('sound to the host', 'audio', '<audio id="2" type="file" path="/etc/cron.d/x"/>'),
  intoDevices('input device of the host', 'input', '<input type="evdev"><source dev="/dev/input/event1"/></input>'),
  intoDevices('crash dump', 'watchdog@action', '<watchdog model="i6300esb" action="dump"/>'),
  intoDomain(
    'arguments for QEMU',
    'qemu:commandline',
    `<qemu:commandline xmlns:qemu="${QEMU}"><qemu:arg value="-s"/></qemu:commandline>`,
  ),
  intoDomain(
    'arguments for QEMU under another prefix',
    'x:commandline',
    `<x:commandline xmlns:x="${QEMU}"><x:arg value="-s"/></x:commandline>`,
  ),
  intoDomain(
    'arguments for QEMU in the namespace of the element',
    'commandline',
    `<commandline xmlns="${QEMU}"><arg value="-s"/></commandline>`,
  ),
  intoDomain('label of its own', 'seclabel', '<seclabel type="none"/>'),
  intoDomain('pinned processors', 'cputune', '<cputune><vcpupin vcpu="0" cpuset="0"/></cputune>'),
  intoDomain('huge pages', 'memoryBacking', '<memoryBacking><hugepages/></memoryBacking>'),
  intoDomain('place among the host services', 'resource', '<resource><partition>/system</partition></resource>'),
  intoDomain('state of another host', 'launchSecurity', '<launchSecurity type="sev"/>'),
  {
    name: 'kernel of the host',
    path: '/domain/os/kernel',
    at: /<\/os>/,
    by: '<kernel>/boot/vmlinuz</kernel></os>',
  },
  {
    name: 'initial RAM disk of the host',
    path: '/domain/os/initrd',
    at: /<\/os>/,
    by: '<initrd>/etc/shadow</initrd></os>',
  },
  {
    name: 'device tree of the host',
    path: '/domain/os/dtb',
    at: /<\/os>/,
    by: '<dtb>/etc/shadow</dtb></os>',
  },
  {
    name: 'ACPI table of the host',
    path: '/domain/os/acpi',
    at: /<\/os>/,
    by: '<acpi><table type="slic">/etc/shadow</table></acpi></os>',
  },
  {
    name: 'store of another VM',
    path: '/domain/os/nvram',
    at: /<\/os>/,
    by: '<nvram>/s/nvram/other.fd</nvram></os>',
  },
  {
    name: 'store made of a file of the host',
    path: '/domain/os/nvram@template',
    at: /<\/os>/,
    by: '<nvram template="/etc/shadow">/s/nvram/own.fd</nvram></os>',
  },
  {
    name: 'firmware of its own',
    path: '/domain/os/loader',
    at: /<\/os>/,
    by: '<loader readonly="yes" type="pflash">/tmp/evil.fd</loader></os>',
  },
  {
    name: 'firmware by a way around',
    path: '/domain/os/loader',
    at: /<\/os>/,
    by: '<loader readonly="yes" type="pflash">/usr/share/../../tmp/evil.fd</loader></os>',
  },
  {
    name: 'machine without a hypervisor',
    path: '/domain@type',
    at: /<domain type=["'](?:qemu|kvm)["']/,
    by: '<domain type="lxc"',
  },
  {
    name: 'memory written to the host',
    path: '/domain/on_crash',
    at: /<on_crash>\w+<\/on_crash>/,
    by: '<on_crash>coredump-destroy</on_crash>',
  },
  {
    name: 'name of another project',
    path: '/domain/name',
    at: /<name>[^<]*<\/name>/,
    by: '<name>p7-web</name>',
  },
];

/** The definition with the part in it. @throws Error when there is no place for it */
export function withPart(xml: string, { name, at, by }: ForbiddenPart): string {
  if (!at.test(xml)) throw new Error(`there is no place for "${name}"`);
  return xml.replace(at, () => by);
}
