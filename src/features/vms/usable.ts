/** What may go into VMs of one project, as the asker may use it there. What he may not use is not there for him: the answers are the same. */

import type { ImagesApi } from '#features/images/index.ts';
import type { NetworksApi } from '#features/networks/index.ts';
import { isUsableIn, type May } from '#features/projects/index.ts';
import type { StorageApi } from '#features/storage/index.ts';
import type { ImageLibrary } from './ports.ts';

export interface Usable {
  readonly images: ImageLibrary;
  hasNetwork(name: string): boolean;
  hasBridge(name: string): Promise<boolean>;
  /** Whether disks may be made in our own pool. */
  readonly hasPool: boolean;
}

interface Dependencies {
  readonly images: Pick<ImagesApi, 'find'>;
  readonly networks: Pick<NetworksApi, 'hasNetwork' | 'hasBridge' | 'networkObject' | 'bridgeObject'>;
  readonly storage: Pick<StorageApi, 'ownPoolObject'>;
}

/** @param project its id */
export function usableIn(project: string, may: May, { images, networks, storage }: Dependencies): Usable {
  const isUsable = (permission: 'network.use' | 'storage.use' | 'image.read', object: Parameters<May>[1]) =>
    isUsableIn(project, permission, object, may);
  return {
    images: { get: (idOrName) => images.find(idOrName, project, (object) => isUsable('image.read', object)) },
    hasNetwork: (name) => networks.hasNetwork(name) && isUsable('network.use', networks.networkObject(name)),
    hasBridge: async (name) => isUsable('network.use', networks.bridgeObject(name)) && (await networks.hasBridge(name)),
    hasPool: isUsable('storage.use', storage.ownPoolObject()),
  };
}
