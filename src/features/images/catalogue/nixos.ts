/** NixOS. Facts from osinfo-db (nixos-25.11, nixos-unstable) and from quickemu's quickget: channel addresses, and a `.sha256`
 *  beside each that names the versioned file. NixOS publishes no signature for its ISOs. */

import { GIB } from '#kernel/units.ts';
import type { CatalogueArch, CatalogueEntry } from './entry.ts';

function nixos(channel: string, edition: 'minimal' | 'graphical', arch: CatalogueArch): CatalogueEntry {
  const folderUrl = `https://channels.nixos.org/nixos-${channel}/`;
  const name = `latest-nixos-${edition}-${arch}-linux.iso`;
  const isMinimal = edition === 'minimal';
  return {
    id: `nixos-${channel === 'unstable' ? channel : channel.replace('.', '-')}-${edition}${arch === 'aarch64' ? '-aarch64' : ''}`,
    name: `NixOS ${channel} ${edition}`,
    version: channel,
    channel: channel === 'unstable' ? 'unstable' : 'stable',
    arch,
    kind: 'iso',
    folderUrl,
    file: { name },
    checksum: { kind: 'sha256', url: `${folderUrl}${name}.sha256`, line: 'only' },
    signature: null,
    homepage: 'https://nixos.org/',
    defaultUser: null,
    suggested: {
      vcpus: 2,
      memoryBytes: isMinimal ? 2 * GIB : 4 * GIB,
      diskBytes: isMinimal ? 20 * GIB : 40 * GIB,
      firmware: 'uefi',
      osinfoId: 'http://nixos.org/nixos/unstable',
    },
    note: null,
    lastChecked: null,
  };
}

export const nixosEntries: readonly CatalogueEntry[] = [
  nixos('26.05', 'minimal', 'x86_64'),
  nixos('26.05', 'graphical', 'x86_64'),
  nixos('26.05', 'minimal', 'aarch64'),
  nixos('unstable', 'minimal', 'x86_64'),
];
