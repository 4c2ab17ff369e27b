/** Fedora, Rocky Linux, AlmaLinux and CentOS Stream. Facts from lima's templates and osinfo-db (addresses), quickemu's quickget and
 *  OSISM's openstack-image-manager (checksum files); the fingerprints occur with these names in several independent public
 *  repositories, some of which compare them with the projects' own pages. */

import { GIB } from '#kernel/units.ts';
import type { CatalogueArch, CatalogueEntry, CatalogueSignature } from './entry.ts';

const FEDORA_KEYS = {
  '44': '36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6',
  '43': 'C6E7F081CF80E13146676E88829B606631645531',
} as const;
const ROCKY_KEYS = {
  '10': 'FC226859C0860BF0DDB95B085B106C736FEDFC85',
  '9': '21CB256AE16FC54C6E652949702D426D350D275D',
} as const;
const ALMA_KEYS = {
  '10': 'EE6DB7B98F5BF5EDD9DA0DE5DEE5C11CC2A1E572',
  '9': 'BF18AC2876178908D6E71267D36CB86CB86B3716',
} as const;

const NEEDS_V3 = 'Version 10 needs a processor of level x86-64-v3 (about 2015 and later).';

const suggested = (osinfoId: string, memoryGib: number, diskGib: number) => ({
  vcpus: 2,
  memoryBytes: memoryGib * GIB,
  diskBytes: diskGib * GIB,
  firmware: 'uefi' as const,
  osinfoId,
});

const openpgp = (
  form: 'detached' | 'clearsigned',
  url: string,
  keyUrl: string,
  fingerprint: string,
): CatalogueSignature => ({
  scheme: 'openpgp',
  form,
  covers: 'checksum',
  url,
  keyUrl,
  fingerprint,
});

/** Fedora names a release's compose in its files. `dl.` is the master, which never redirects to a plain http mirror. */
function fedora(
  version: '44' | '43',
  compose: string,
  edition: 'cloud' | 'server',
  arch: CatalogueArch,
): CatalogueEntry {
  const isCloud = edition === 'cloud';
  const variant = isCloud ? 'Cloud' : 'Server';
  const folderUrl = `https://dl.fedoraproject.org/pub/fedora/linux/releases/${version}/${variant}/${arch}/${isCloud ? 'images' : 'iso'}/`;
  const checksumUrl = `${folderUrl}Fedora-${variant}-${version}-${compose}-${arch}-CHECKSUM`;
  return {
    id: `fedora-${version}-${edition}${arch === 'aarch64' ? '-aarch64' : ''}`,
    name: isCloud ? `Fedora ${version} cloud image` : `Fedora Server ${version} network installer`,
    version,
    channel: version === '44' ? 'stable' : 'previous',
    arch,
    kind: isCloud ? 'disk' : 'iso',
    folderUrl,
    file: {
      name: isCloud
        ? `Fedora-Cloud-Base-Generic-${version}-${compose}.${arch}.qcow2`
        : `Fedora-Server-netinst-${arch}-${version}-${compose}.iso`,
    },
    checksum: { kind: 'sha256', url: checksumUrl, line: 'by_name' },
    signature: openpgp('clearsigned', checksumUrl, 'https://fedoraproject.org/fedora.gpg', FEDORA_KEYS[version]),
    homepage: 'https://fedoraproject.org/',
    defaultUser: isCloud ? 'fedora' : null,
    suggested: suggested(`http://fedoraproject.org/fedora/${version}`, 2, isCloud ? 15 : 20),
    note: null,
    lastChecked: null,
  };
}

function rockyCloud(version: '10' | '9', name: string): CatalogueEntry {
  const folderUrl = `https://dl.rockylinux.org/pub/rocky/${version}/images/x86_64/`;
  return {
    id: `rocky-${version}-cloud`,
    name: `Rocky Linux ${version} cloud image`,
    version,
    channel: version === '10' ? 'stable' : 'previous',
    arch: 'x86_64',
    kind: 'disk',
    folderUrl,
    file: { name },
    checksum: { kind: 'sha256', url: `${folderUrl}${name}.CHECKSUM`, line: 'only' },
    signature: openpgp('detached', `${folderUrl}${name}.CHECKSUM.asc`, rockyKeyUrl(version), ROCKY_KEYS[version]),
    homepage: 'https://rockylinux.org/',
    defaultUser: 'rocky',
    suggested: suggested(`http://rockylinux.org/rocky/${version}`, 2, 15),
    note: version === '10' ? NEEDS_V3 : null,
    lastChecked: null,
  };
}

function rockyKeyUrl(version: string): string {
  return `https://dl.rockylinux.org/pub/rocky/RPM-GPG-KEY-Rocky-${version}`;
}

const rockyIsoFolder = 'https://dl.rockylinux.org/pub/rocky/10/isos/x86_64/';

const rockyMinimal: CatalogueEntry = {
  id: 'rocky-10-minimal',
  name: 'Rocky Linux 10 minimal installer',
  version: '10',
  channel: 'stable',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: rockyIsoFolder,
  file: { pattern: /^Rocky-10\.\d+-x86_64-minimal\.iso$/, example: 'Rocky-10.2-x86_64-minimal.iso' },
  checksum: { kind: 'sha256', url: `${rockyIsoFolder}CHECKSUM`, line: 'by_name' },
  signature: openpgp('detached', `${rockyIsoFolder}CHECKSUM.asc`, rockyKeyUrl('10'), ROCKY_KEYS['10']),
  homepage: 'https://rockylinux.org/',
  defaultUser: null,
  suggested: suggested('http://rockylinux.org/rocky/10', 4, 20),
  note: NEEDS_V3,
  lastChecked: null,
};

function almaKeyUrl(version: string): string {
  return `https://repo.almalinux.org/almalinux/RPM-GPG-KEY-AlmaLinux-${version}`;
}

function almaCloud(version: '10' | '9', example: string): CatalogueEntry {
  const folderUrl = `https://repo.almalinux.org/almalinux/${version}/cloud/x86_64/images/`;
  return {
    id: `almalinux-${version}-cloud`,
    name: `AlmaLinux ${version} cloud image`,
    version,
    channel: version === '10' ? 'stable' : 'previous',
    arch: 'x86_64',
    kind: 'disk',
    folderUrl,
    file: {
      pattern: new RegExp(`^AlmaLinux-${version}-GenericCloud-${version}\\.\\d+-\\d{8}(\\.\\d+)?\\.x86_64\\.qcow2$`),
      example,
    },
    checksum: { kind: 'sha256', url: `${folderUrl}CHECKSUM`, line: 'by_name' },
    signature: openpgp('detached', `${folderUrl}CHECKSUM.asc`, almaKeyUrl(version), ALMA_KEYS[version]),
    homepage: 'https://almalinux.org/',
    defaultUser: 'almalinux',
    suggested: suggested(`http://almalinux.org/almalinux/${version}`, 2, 15),
    note: version === '10' ? NEEDS_V3 : null,
    lastChecked: null,
  };
}

const almaIsoFolder = 'https://repo.almalinux.org/almalinux/10/isos/x86_64/';

const almaMinimal: CatalogueEntry = {
  id: 'almalinux-10-minimal',
  name: 'AlmaLinux 10 minimal installer',
  version: '10',
  channel: 'stable',
  arch: 'x86_64',
  kind: 'iso',
  folderUrl: almaIsoFolder,
  file: { name: 'AlmaLinux-10-latest-x86_64-minimal.iso' },
  checksum: { kind: 'sha256', url: `${almaIsoFolder}CHECKSUM`, line: 'by_name' },
  signature: openpgp('clearsigned', `${almaIsoFolder}CHECKSUM`, almaKeyUrl('10'), ALMA_KEYS['10']),
  homepage: 'https://almalinux.org/',
  defaultUser: null,
  suggested: suggested('http://almalinux.org/almalinux/10', 4, 20),
  note: NEEDS_V3,
  lastChecked: null,
};

/** CentOS Stream puts a `.SHA256SUM` beside each image and publishes no signature for it. */
function centosStream(version: '10' | '9', kind: 'disk' | 'iso'): CatalogueEntry {
  const isCloud = kind === 'disk';
  const folderUrl = isCloud
    ? `https://cloud.centos.org/centos/${version}-stream/x86_64/images/`
    : `https://mirror.stream.centos.org/${version}-stream/BaseOS/x86_64/iso/`;
  const name = isCloud
    ? `CentOS-Stream-GenericCloud-x86_64-${version}-latest.x86_64.qcow2`
    : `CentOS-Stream-${version}-latest-x86_64-boot.iso`;
  return {
    id: `centos-stream-${version}-${isCloud ? 'cloud' : 'boot'}`,
    name: isCloud ? `CentOS Stream ${version} cloud image` : `CentOS Stream ${version} network installer`,
    version,
    channel: version === '10' ? 'stable' : 'previous',
    arch: 'x86_64',
    kind,
    folderUrl,
    file: { name },
    checksum: { kind: 'sha256', url: `${folderUrl}${name}.SHA256SUM`, line: 'only' },
    signature: null,
    homepage: 'https://www.centos.org/centos-stream/',
    defaultUser: isCloud ? 'cloud-user' : null,
    suggested: suggested(`http://centos.org/centos-stream/${version}`, isCloud ? 2 : 4, isCloud ? 15 : 20),
    note: version === '10' ? NEEDS_V3 : null,
    lastChecked: null,
  };
}

export const redHatFamilyEntries: readonly CatalogueEntry[] = [
  fedora('44', '1.7', 'cloud', 'x86_64'),
  fedora('44', '1.7', 'cloud', 'aarch64'),
  fedora('44', '1.7', 'server', 'x86_64'),
  fedora('43', '1.6', 'cloud', 'x86_64'),
  rockyCloud('10', 'Rocky-10-GenericCloud-Base.latest.x86_64.qcow2'),
  rockyCloud('9', 'Rocky-9-GenericCloud.latest.x86_64.qcow2'),
  rockyMinimal,
  almaCloud('10', 'AlmaLinux-10-GenericCloud-10.2-20260526.0.x86_64.qcow2'),
  almaCloud('9', 'AlmaLinux-9-GenericCloud-9.8-20260526.0.x86_64.qcow2'),
  almaMinimal,
  centosStream('10', 'disk'),
  centosStream('9', 'disk'),
  centosStream('10', 'iso'),
];
