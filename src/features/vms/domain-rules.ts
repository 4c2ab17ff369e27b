/** The parts of a definition that the VM of a tenant may have, as data: what is not named here is forbidden. It is what we build ourselves,
 *  as libvirt writes it back, with the settings beside it that reach nothing outside of the guest. How it is applied: domain-allowed.ts. */

import { filterUse } from '#features/inventory/index.ts';
import { attribute, type parseXml } from '#libvirt/index.ts';

export type Element = ReturnType<typeof parseXml>;

/** What only the world knows of one VM and the project that it belongs to. */
export interface Tenant {
  /** The name in libvirt is one of the project. */
  isOwnName(name: string): boolean;
  /** A disk or seed that was made for this VM and that no other has. */
  isOwnDisk(path: string): boolean;
  /** A file of the library that the project may use. */
  isImage(path: string): boolean;
  /** A file of the library, whoever may use it. */
  isLibraryFile(path: string): boolean;
  /** Its own UEFI variables. */
  isOwnNvram(path: string): boolean;
  isOwnSerialLog(path: string): boolean;
  /** Who asked for the change may let a NIC go unfiltered. */
  readonly mayOpenNics: boolean;
  /** Each NIC has a traffic filter. */
  readonly isFiltered: boolean;
  hasNetwork(name: string): boolean;
  hasBridge(name: string): boolean;
}

/** What an attribute or text may be. */
export interface Value {
  fits(value: string, tenant: Tenant): boolean;
  /** Why it is refused. */
  readonly problem: string;
  /** It depends on what an administrator gave to the project: an edit of something else does not stumble over what was taken away. */
  isGiven(value: string, tenant: Tenant): boolean;
}

export interface Rule {
  readonly attributes: Readonly<Record<string, Value>>;
  /** Null = no text. */
  readonly text: Value | null;
  readonly children: Readonly<Record<string, Rule | ((element: Element) => Rule)>>;
  /** Children that must be there. One that was without them before may stay so. */
  needs?(tenant: Tenant): readonly string[];
  /** Whatever is inside is nobody's instruction. */
  readonly isFree?: true;
}

const value = (fits: Value['fits'], problem: string, isGiven: Value['isGiven'] = () => false): Value => ({
  fits,
  problem,
  isGiven,
});
const always = () => true;
const isLibraryFile: Value['isGiven'] = (path, tenant) => tenant.isLibraryFile(path);
const anything = value(() => true, '');
const oneOf = (...values: readonly string[]): Value =>
  value((text) => values.includes(text), 'only the usual values are allowed');
const like = (pattern: RegExp): Value => value((text) => pattern.test(text), 'only the usual values are allowed');

const attributes = (...names: readonly string[]): Rule['attributes'] =>
  Object.fromEntries(names.map((name) => [name, anything]));
const rule = (
  attributes: Rule['attributes'] = {},
  children: Rule['children'] = {},
  text: Value | null = null,
): Rule => ({ attributes, children, text });

/** Programs that only a package manager installs. */
const EMULATOR =
  /^(?:\/usr\/(?:local\/)?bin|\/usr\/libexec|\/run\/libvirt\/nix-emulators|\/run\/current-system\/sw\/bin|\/nix\/store\/[^/]+\/bin)\/qemu-(?:system-[a-z0-9_]+|kvm)$/;
/** Firmware that every user of the host may read. */
const FIRMWARE =
  /^(?!.*\/\.\.?(?:\/|$))(?:\/usr\/share|\/run\/current-system\/sw\/share|\/nix\/store\/[^/]+|\/run\/libvirt\/nix-ovmf)\/[\w.+/-]+\.(?:fd|bin)$/;

const firmware = like(FIRMWARE);
const image = value((path, tenant) => tenant.isImage(path), 'the project may not use this file', isLibraryFile);
const network = value((name, tenant) => tenant.hasNetwork(name), 'the project may not use this network', always);
const bridge = value((name, tenant) => tenant.hasBridge(name), 'the project may not use this bridge', always);
const ownDisk = value((path, tenant) => tenant.isOwnDisk(path), 'it is no disk of this VM');
const medium = value(
  (path, tenant) => tenant.isImage(path) || (path.endsWith('-seed.iso') && tenant.isOwnDisk(path)),
  'the project may not use this file',
  isLibraryFile,
);

const address = rule(
  attributes('type', 'controller', 'bus', 'target', 'unit', 'domain', 'slot', 'function', 'multifunction', 'port'),
);
const boot = rule(attributes('order'));
const onDevice = {
  address,
  boot,
  alias: rule({ name: like(/^ua-[\w-]{1,60}$|^[a-z][a-z0-9_-]{0,30}$/) }),
};
const onOff = rule({ state: oneOf('on', 'off') });
const empty = rule();

const drive = (source: Value, device: 'disk' | 'cdrom'): Rule =>
  rule(
    { type: oneOf('file'), device: oneOf(device) },
    {
      ...onDevice,
      driver: rule({
        ...attributes('cache', 'discard', 'detect_zeroes', 'io', 'queues'),
        name: oneOf('qemu'),
        // What the guest itself sees of a failing disk.
        error_policy: oneOf('stop', 'report', 'ignore', 'enospace'),
        rerror_policy: oneOf('stop', 'report', 'ignore'),
        // Never left to guessing: a guest could write a header that names a file of the host.
        type: device === 'cdrom' ? oneOf('raw') : oneOf('qcow2', 'raw'),
      }),
      source: rule({ ...attributes('index', 'startupPolicy'), file: source }),
      target: rule(attributes('dev', 'bus', 'tray', 'removable')),
      readonly: empty,
      serial: rule({}, {}, anything),
      backingStore: empty,
    },
  );
const DISK = drive(ownDisk, 'disk');
const CDROM = drive(medium, 'cdrom');

const OPEN = filterUse('off').name;
const CLOSED = [filterUse('mac').name, filterUse('mac_ip').name];
const filter = value(
  (name, tenant) => CLOSED.includes(name) || (name === OPEN && tenant.mayOpenNics),
  'only who configures networks may choose this filter',
  (name) => name === OPEN,
);

const nic = (type: string, source: Rule): Rule => ({
  needs: ({ isFiltered }) => (isFiltered ? ['filterref'] : []),
  ...rule(
    { type: oneOf(type) },
    {
      ...onDevice,
      mac: rule(attributes('address', 'type')),
      source,
      model: rule(attributes('type')),
      link: rule({ state: oneOf('up', 'down') }),
      driver: rule({ ...attributes('queues', 'rx_queue_size', 'tx_queue_size'), name: oneOf('vhost', 'qemu') }),
      mtu: rule(attributes('size')),
      filterref: rule({ filter }, { parameter: rule({ name: oneOf('CTRL_IP_LEARNING'), value: oneOf('dhcp') }) }),
    },
  ),
});
const NETWORK_NIC = nic('network', rule({ network }));
const BRIDGE_NIC = nic('bridge', rule({ bridge }));

const port = {
  ...onDevice,
  log: rule({
    append: oneOf('on', 'off'),
    file: value((path, tenant) => tenant.isOwnSerialLog(path), 'it is not the log of this VM'),
  }),
  target: rule(attributes('type', 'port', 'name'), { model: rule(attributes('name')) }),
};

const devices = rule(
  {},
  {
    emulator: rule({}, {}, like(EMULATOR)),
    disk: (element) => (attribute(element, 'device') === 'cdrom' ? CDROM : DISK),
    interface: (element) => (attribute(element, 'type') === 'bridge' ? BRIDGE_NIC : NETWORK_NIC),
    controller: rule(attributes('type', 'index', 'model', 'ports', 'vectors'), {
      ...onDevice,
      model: rule(attributes('name')),
      target: rule(attributes('chassis', 'chassisNr', 'port', 'busNr', 'hotplug')),
      master: rule(attributes('startport')),
      driver: rule(attributes('queues')),
    }),
    serial: rule({ type: oneOf('pty') }, port),
    console: rule({ type: oneOf('pty') }, port),
    channel: rule({ type: oneOf('unix') }, port),
    input: rule(attributes('type', 'bus', 'model'), onDevice),
    tpm: rule(attributes('model'), {
      ...onDevice,
      backend: rule({ type: oneOf('emulator'), version: oneOf('2.0', '1.2') }),
    }),
    graphics: rule({ type: oneOf('vnc') }, { listen: rule({ type: oneOf('socket', 'none') }) }),
    audio: rule({ ...attributes('id'), type: oneOf('none') }),
    video: rule(
      {},
      {
        ...onDevice,
        model: rule(attributes('type', 'heads', 'primary', 'vram', 'ram', 'vgamem', 'blob'), {
          resolution: rule(attributes('x', 'y')),
          acceleration: rule({ accel3d: oneOf('no'), accel2d: oneOf('no') }),
        }),
      },
    ),
    memballoon: rule(attributes('model', 'autodeflate', 'freePageReporting'), {
      ...onDevice,
      stats: rule(attributes('period')),
    }),
    rng: rule(attributes('model'), {
      ...onDevice,
      rate: rule(attributes('bytes', 'period')),
      backend: rule({ model: oneOf('random') }, {}, oneOf('/dev/urandom', '/dev/random')),
    }),
    panic: rule(attributes('model'), onDevice),
    watchdog: rule(
      { ...attributes('model'), action: oneOf('reset', 'none', 'poweroff', 'shutdown', 'pause') },
      onDevice,
    ),
  },
);

/** The document. */
export const DOMAIN_RULE: Rule = rule(
  { type: oneOf('kvm', 'qemu') },
  {
    name: rule(
      {},
      {},
      value((name, tenant) => tenant.isOwnName(name), 'it is the name of another project'),
    ),
    uuid: rule({}, {}, anything),
    genid: rule({}, {}, anything),
    title: rule({}, {}, anything),
    description: rule({}, {}, anything),
    metadata: { ...rule(), isFree: true },
    memory: rule(attributes('unit'), {}, anything),
    currentMemory: rule(attributes('unit'), {}, anything),
    vcpu: rule({ placement: oneOf('static'), ...attributes('current') }, {}, anything),
    vcpus: rule({}, { vcpu: rule(attributes('id', 'enabled', 'hotpluggable', 'order')) }),
    resource: rule({}, { partition: rule({}, {}, oneOf('/machine')) }),
    os: rule(
      { firmware: oneOf('efi', 'bios') },
      {
        type: rule(attributes('arch', 'machine'), {}, oneOf('hvm')),
        loader: rule(
          {
            readonly: oneOf('yes'),
            type: oneOf('pflash', 'rom'),
            format: oneOf('raw'),
            ...attributes('secure', 'stateless'),
          },
          {},
          firmware,
        ),
        nvram: rule(
          { template: firmware, format: oneOf('raw'), templateFormat: oneOf('raw') },
          {},
          value((path, tenant) => tenant.isOwnNvram(path), 'it is not the store of this VM'),
        ),
        kernel: rule({}, {}, image),
        initrd: rule({}, {}, image),
        cmdline: rule({}, {}, anything),
        boot: rule(attributes('dev')),
        bootmenu: rule(attributes('enable', 'timeout')),
        smbios: rule({ mode: oneOf('emulate') }),
        bios: rule(attributes('useserial', 'rebootTimeout')),
        firmware: rule({}, { feature: rule(attributes('enabled', 'name')) }),
      },
    ),
    features: rule(
      {},
      {
        acpi: empty,
        apic: rule(attributes('eoi')),
        pae: empty,
        smm: onOff,
        vmport: onOff,
        hyperv: { ...rule(attributes('mode')), isFree: true },
      },
    ),
    cpu: rule(attributes('mode', 'match', 'check', 'migratable'), {
      model: rule(attributes('fallback', 'vendor_id'), {}, anything),
      vendor: rule({}, {}, anything),
      topology: rule(attributes('sockets', 'dies', 'clusters', 'cores', 'threads')),
      feature: rule(attributes('policy', 'name')),
      cache: rule(attributes('level', 'mode')),
      maxphysaddr: rule(attributes('mode', 'bits', 'limit')),
    }),
    clock: rule(attributes('offset', 'adjustment', 'basis', 'timezone'), {
      timer: rule(attributes('name', 'tickpolicy', 'present', 'track', 'mode', 'frequency')),
    }),
    on_poweroff: rule({}, {}, oneOf('destroy', 'restart', 'preserve')),
    on_reboot: rule({}, {}, oneOf('destroy', 'restart', 'preserve')),
    // `coredump-…` would write the memory of the guest to the host.
    on_crash: rule({}, {}, oneOf('destroy', 'restart', 'preserve')),
    on_lockfailure: rule({}, {}, oneOf('poweroff', 'restart', 'pause')),
    pm: rule({}, { 'suspend-to-mem': rule(attributes('enabled')), 'suspend-to-disk': rule(attributes('enabled')) }),
    devices,
  },
);
