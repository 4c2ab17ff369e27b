/** Debian and Ubuntu. Facts from lima's templates and osinfo-db (addresses), quickemu's quickget and OSISM's
 *  openstack-image-manager (checksum files); the fingerprints occur with these names in several independent public repositories. */

import { GIB } from '#kernel/units.ts';
import { type CatalogueArch, type CatalogueEntry, type CatalogueSignature, keyserverUrl } from './entry.ts';

const DEB_ARCH = { x86_64: 'amd64', aarch64: 'arm64' } as const;
const DEBIAN_CD_KEY = 'DF9B9C49EAA9298432589D76DA87E80D6294BE9B';
const UBUNTU_CD_KEY = '843938DF228D22F7B3742BC0D94AA3F0EFE21092';
const UBUNTU_CLOUD_KEY = 'D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81';

const suffixOf = (arch: CatalogueArch) => (arch === 'aarch64' ? '-aarch64' : '');

const signed = (url: string, fingerprint: string): CatalogueSignature => ({
  scheme: 'openpgp',
  form: 'detached',
  covers: 'checksum',
  url,
  keyUrl: keyserverUrl(fingerprint),
  fingerprint,
});

const size = (version: string, system: 'debian' | 'ubuntu', memoryGib: number, diskGib: number) => ({
  vcpus: 2,
  memoryBytes: memoryGib * GIB,
  diskBytes: diskGib * GIB,
  firmware: 'uefi' as const,
  osinfoId: `http://${system}.${system === 'debian' ? 'org' : 'com'}/${system}/${version}`,
});

/** The installer moves to the archive when its successor appears, so its name is read from the checksum file. */
function debianNetinst(arch: CatalogueArch): CatalogueEntry {
  const folderUrl = `https://cdimage.debian.org/debian-cd/current/${DEB_ARCH[arch]}/iso-cd/`;
  return {
    id: `debian-13-netinst${suffixOf(arch)}`,
    name: 'Debian 13 network installer',
    version: '13',
    channel: 'stable',
    arch,
    kind: 'iso',
    folderUrl,
    file: {
      pattern: new RegExp(`^debian-13\\.\\d+\\.\\d+-${DEB_ARCH[arch]}-netinst\\.iso$`),
      example: `debian-13.7.0-${DEB_ARCH[arch]}-netinst.iso`,
    },
    checksum: { kind: 'sha512', url: `${folderUrl}SHA512SUMS`, line: 'by_name' },
    signature: signed(`${folderUrl}SHA512SUMS.sign`, DEBIAN_CD_KEY),
    homepage: 'https://www.debian.org/',
    defaultUser: null,
    suggested: size('13', 'debian', 2, 20),
    note: null,
    lastChecked: null,
  };
}

function debianCloud(version: string, codename: string, arch: CatalogueArch): CatalogueEntry {
  const folderUrl = `https://cloud.debian.org/images/cloud/${codename}/latest/`;
  return {
    id: `debian-${version}-cloud${suffixOf(arch)}`,
    name: `Debian ${version} cloud image`,
    version,
    channel: version === '13' ? 'stable' : 'previous',
    arch,
    kind: 'disk',
    folderUrl,
    file: { name: `debian-${version}-genericcloud-${DEB_ARCH[arch]}.qcow2` },
    checksum: { kind: 'sha512', url: `${folderUrl}SHA512SUMS`, line: 'by_name' },
    signature: null,
    homepage: 'https://cloud.debian.org/',
    defaultUser: 'debian',
    suggested: size(version, 'debian', 1, 10),
    note: null,
    lastChecked: null,
  };
}

function ubuntuServer(version: string): CatalogueEntry {
  const folderUrl = `https://releases.ubuntu.com/${version}/`;
  return {
    id: `ubuntu-${version.replace('.', '-')}-server`,
    name: `Ubuntu Server ${version} LTS installer`,
    version,
    channel: 'lts',
    arch: 'x86_64',
    kind: 'iso',
    folderUrl,
    file: {
      pattern: new RegExp(`^ubuntu-${version.replace('.', '\\.')}(\\.\\d+)?-live-server-amd64\\.iso$`),
      example: `ubuntu-${version}-live-server-amd64.iso`,
    },
    checksum: { kind: 'sha256', url: `${folderUrl}SHA256SUMS`, line: 'by_name' },
    signature: signed(`${folderUrl}SHA256SUMS.gpg`, UBUNTU_CD_KEY),
    homepage: 'https://ubuntu.com/server',
    defaultUser: null,
    suggested: size(version, 'ubuntu', 4, 25),
    note: null,
    lastChecked: null,
  };
}

function ubuntuCloud(version: string, codename: string, arch: CatalogueArch): CatalogueEntry {
  const folderUrl = `https://cloud-images.ubuntu.com/releases/${codename}/release/`;
  return {
    id: `ubuntu-${version.replace('.', '-')}-cloud${suffixOf(arch)}`,
    name: `Ubuntu ${version} LTS cloud image`,
    version,
    channel: 'lts',
    arch,
    kind: 'disk',
    folderUrl,
    file: { name: `ubuntu-${version}-server-cloudimg-${DEB_ARCH[arch]}.img` },
    checksum: { kind: 'sha256', url: `${folderUrl}SHA256SUMS`, line: 'by_name' },
    signature: signed(`${folderUrl}SHA256SUMS.gpg`, UBUNTU_CLOUD_KEY),
    homepage: 'https://cloud-images.ubuntu.com/',
    defaultUser: 'ubuntu',
    suggested: size(version, 'ubuntu', 2, 15),
    note: null,
    lastChecked: null,
  };
}

export const debianUbuntuEntries: readonly CatalogueEntry[] = [
  debianCloud('13', 'trixie', 'x86_64'),
  debianCloud('13', 'trixie', 'aarch64'),
  debianCloud('12', 'bookworm', 'x86_64'),
  debianNetinst('x86_64'),
  debianNetinst('aarch64'),
  ubuntuCloud('26.04', 'resolute', 'x86_64'),
  ubuntuCloud('26.04', 'resolute', 'aarch64'),
  ubuntuCloud('24.04', 'noble', 'x86_64'),
  ubuntuCloud('24.04', 'noble', 'aarch64'),
  ubuntuCloud('22.04', 'jammy', 'x86_64'),
  ubuntuServer('26.04'),
  ubuntuServer('24.04'),
];
