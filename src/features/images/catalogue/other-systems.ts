/** Alpine, Arch, openSUSE, Void and the BSDs. Facts from lima's templates, osinfo-db and quickemu's quickget; the fingerprints occur
 *  with these names in several independent public repositories. FreeBSD's cloud images come xz-compressed only, so its ISO is here. */

import { GIB, MIB } from '#kernel/units.ts';
import type { CatalogueArch, CatalogueEntry, CatalogueSignature } from './entry.ts';

const suggested = (osinfoId: string, memoryBytes: number, diskGib: number, firmware: 'uefi' | 'bios' = 'uefi') => ({
  vcpus: 2,
  memoryBytes,
  diskBytes: diskGib * GIB,
  firmware,
  osinfoId,
});

const imageSignature = (suffix: string, keyUrl: string, fingerprint: string): CatalogueSignature => ({
  scheme: 'openpgp',
  form: 'detached',
  covers: 'image',
  url: null,
  suffix,
  keyUrl,
  fingerprint,
});

const ALPINE_SIGNATURE = imageSignature(
  '.asc',
  'https://alpinelinux.org/keys/ncopa.asc',
  '0482D84022F52DF1C4E7CD43293ACD0907D9495A',
);
const OPENSUSE_KEY = 'AD485664E901B867051AB15F35A2F86E29B700A4';
const OPENSUSE_KEY_URL = 'https://download.opensuse.org/distribution/leap/16.0/repo/oss/repodata/repomd.xml.key';

function alpineCloud(arch: CatalogueArch): CatalogueEntry {
  const folderUrl = 'https://dl-cdn.alpinelinux.org/alpine/v3.23/releases/cloud/';
  const name = `nocloud_alpine-3.23.4-${arch}-uefi-cloudinit-r0.qcow2`;
  return {
    id: `alpine-3-23-cloud${arch === 'aarch64' ? '-aarch64' : ''}`,
    name: 'Alpine Linux 3.23 cloud image',
    version: '3.23.4',
    channel: 'previous',
    arch,
    kind: 'disk',
    folderUrl,
    file: { name },
    checksum: { kind: 'sha512', url: `${folderUrl}${name}.sha512`, line: 'only' },
    signature: ALPINE_SIGNATURE,
    homepage: 'https://alpinelinux.org/cloud/',
    defaultUser: 'alpine',
    suggested: suggested('http://alpinelinux.org/alpinelinux/3.23', 512 * MIB, 4),
    note: null,
    lastChecked: null,
  };
}

function alpineVirt(arch: CatalogueArch): CatalogueEntry {
  const folderUrl = `https://dl-cdn.alpinelinux.org/alpine/v3.24/releases/${arch}/`;
  const name = `alpine-virt-3.24.1-${arch}.iso`;
  return {
    id: `alpine-3-24-virt${arch === 'aarch64' ? '-aarch64' : ''}`,
    name: 'Alpine Linux 3.24 for virtual machines',
    version: '3.24.1',
    channel: 'stable',
    arch,
    kind: 'iso',
    folderUrl,
    file: { name },
    checksum: { kind: 'sha256', url: `${folderUrl}${name}.sha256`, line: 'only' },
    signature: ALPINE_SIGNATURE,
    homepage: 'https://alpinelinux.org/',
    defaultUser: null,
    suggested: suggested('http://alpinelinux.org/alpinelinux/3.23', 512 * MIB, 4),
    note: null,
    lastChecked: null,
  };
}

const archIso: CatalogueEntry = {
  id: 'arch-installer',
  name: 'Arch Linux installer',
  version: 'rolling',
  channel: 'rolling',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: 'https://geo.mirror.pkgbuild.com/iso/latest/',
  file: { name: 'archlinux-x86_64.iso' },
  checksum: { kind: 'sha256', url: 'https://geo.mirror.pkgbuild.com/iso/latest/sha256sums.txt', line: 'by_name' },
  signature: imageSignature(
    '.sig',
    'https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x3E80CA1A8B89F69CBA57D98A76A5EF9054449A5C',
    '3E80CA1A8B89F69CBA57D98A76A5EF9054449A5C',
  ),
  homepage: 'https://archlinux.org/',
  defaultUser: null,
  suggested: suggested('http://archlinux.org/archlinux/rolling', 2 * GIB, 20),
  note: null,
  lastChecked: null,
};

const archCloud: CatalogueEntry = {
  ...archIso,
  id: 'arch-cloud',
  name: 'Arch Linux cloud image',
  kind: 'disk',
  folderUrl: 'https://geo.mirror.pkgbuild.com/images/latest/',
  file: { name: 'Arch-Linux-x86_64-cloudimg.qcow2' },
  checksum: {
    kind: 'sha256',
    url: 'https://geo.mirror.pkgbuild.com/images/latest/Arch-Linux-x86_64-cloudimg.qcow2.SHA256',
    line: 'only',
  },
  signature: null,
  defaultUser: 'arch',
};

function opensuse(
  entry: Pick<CatalogueEntry, 'id' | 'name' | 'version' | 'channel' | 'kind' | 'folderUrl'>,
  name: string,
): CatalogueEntry {
  const checksumUrl = `${entry.folderUrl}${name}.sha256`;
  const isCloud = entry.kind === 'disk';
  return {
    ...entry,
    arch: 'x86_64',
    file: { name },
    checksum: { kind: 'sha256', url: checksumUrl, line: 'only' },
    signature: {
      scheme: 'openpgp',
      form: 'detached',
      covers: 'checksum',
      url: `${checksumUrl}.asc`,
      keyUrl: OPENSUSE_KEY_URL,
      fingerprint: OPENSUSE_KEY,
    },
    homepage: 'https://www.opensuse.org/',
    defaultUser: isCloud ? 'opensuse' : null,
    suggested: suggested(
      `http://opensuse.org/opensuse/${entry.version}`,
      isCloud ? 2 * GIB : 4 * GIB,
      isCloud ? 15 : 30,
    ),
    note: null,
    lastChecked: null,
  };
}

const voidLinux: CatalogueEntry = {
  id: 'void-base',
  name: 'Void Linux installer',
  version: 'rolling',
  channel: 'rolling',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: 'https://repo-default.voidlinux.org/live/current/',
  file: { pattern: /^void-live-x86_64-\d{8}-base\.iso$/, example: 'void-live-x86_64-20250202-base.iso' },
  checksum: { kind: 'sha256', url: 'https://repo-default.voidlinux.org/live/current/sha256sum.txt', line: 'by_name' },
  signature: { scheme: 'minisign', url: 'https://repo-default.voidlinux.org/live/current/sha256sum.sig' },
  homepage: 'https://voidlinux.org/',
  defaultUser: null,
  suggested: suggested('http://voidlinux.org/voidlinux/rolling', GIB, 10),
  note: null,
  lastChecked: null,
};

const FREEBSD_FOLDER = 'https://download.freebsd.org/releases/amd64/amd64/ISO-IMAGES/15.1/';
const OPENBSD_FOLDER = 'https://cdn.openbsd.org/pub/OpenBSD/7.9/amd64/';
const NETBSD_FOLDER = 'https://cdn.netbsd.org/pub/NetBSD/NetBSD-10.1/images/';

const freebsd: CatalogueEntry = {
  id: 'freebsd-15-1',
  name: 'FreeBSD 15.1 installer',
  version: '15.1',
  channel: 'stable',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: FREEBSD_FOLDER,
  file: { name: 'FreeBSD-15.1-RELEASE-amd64-disc1.iso' },
  checksum: { kind: 'sha256', url: `${FREEBSD_FOLDER}CHECKSUM.SHA256-FreeBSD-15.1-RELEASE-amd64`, line: 'by_name' },
  signature: null,
  homepage: 'https://www.freebsd.org/',
  defaultUser: null,
  suggested: suggested('http://freebsd.org/freebsd/15.0', 2 * GIB, 20),
  note: null,
  lastChecked: null,
};

const openbsd: CatalogueEntry = {
  id: 'openbsd-7-9',
  name: 'OpenBSD 7.9 installer',
  version: '7.9',
  channel: 'stable',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: OPENBSD_FOLDER,
  file: { name: 'install79.iso' },
  checksum: { kind: 'sha256', url: `${OPENBSD_FOLDER}SHA256`, line: 'by_name' },
  signature: { scheme: 'signify', url: `${OPENBSD_FOLDER}SHA256.sig` },
  homepage: 'https://www.openbsd.org/',
  defaultUser: null,
  suggested: suggested('http://openbsd.org/openbsd/7.8', GIB, 15, 'bios'),
  note: null,
  lastChecked: null,
};

const netbsd: CatalogueEntry = {
  id: 'netbsd-10-1',
  name: 'NetBSD 10.1 installer',
  version: '10.1',
  channel: 'stable',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: NETBSD_FOLDER,
  file: { name: 'NetBSD-10.1-amd64.iso' },
  checksum: { kind: 'sha512', url: `${NETBSD_FOLDER}SHA512`, line: 'by_name' },
  signature: null,
  homepage: 'https://www.netbsd.org/',
  defaultUser: null,
  suggested: suggested('http://netbsd.org/netbsd/10.0', GIB, 10, 'bios'),
  note: null,
  lastChecked: null,
};

const LEAP = 'https://download.opensuse.org/distribution/leap/16.0/';

export const otherSystemEntries: readonly CatalogueEntry[] = [
  alpineVirt('x86_64'),
  alpineVirt('aarch64'),
  alpineCloud('x86_64'),
  alpineCloud('aarch64'),
  archIso,
  archCloud,
  opensuse(
    {
      id: 'opensuse-leap-16-cloud',
      name: 'openSUSE Leap 16.0 cloud image',
      version: '16.0',
      channel: 'stable',
      kind: 'disk',
      folderUrl: `${LEAP}appliances/`,
    },
    'Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2',
  ),
  opensuse(
    {
      id: 'opensuse-leap-16-installer',
      name: 'openSUSE Leap 16.0 installer',
      version: '16.0',
      channel: 'stable',
      kind: 'iso',
      folderUrl: `${LEAP}offline/`,
    },
    'Leap-16.0-offline-installer-x86_64.install.iso',
  ),
  opensuse(
    {
      id: 'opensuse-tumbleweed-cloud',
      name: 'openSUSE Tumbleweed cloud image',
      version: 'tumbleweed',
      channel: 'rolling',
      kind: 'disk',
      folderUrl: 'https://download.opensuse.org/tumbleweed/appliances/',
    },
    'openSUSE-Tumbleweed-Minimal-VM.x86_64-Cloud.qcow2',
  ),
  voidLinux,
  freebsd,
  openbsd,
  netbsd,
];
