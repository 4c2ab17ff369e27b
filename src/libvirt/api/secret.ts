/** libvirt's secrets: passphrases of encrypted volumes and of network storage. Values go in, never out. */

import { P } from '../table.ts';
import { type Caller, type CallOptions, LIST_DEADLINE_MS } from './caller.ts';

export interface SecretRef {
  readonly uuid: string;
  readonly usage: 'none' | 'volume' | 'ceph' | 'iscsi' | 'tls' | 'vtpm';
  readonly usageId: string;
}

const USAGES = ['none', 'volume', 'ceph', 'iscsi', 'tls', 'vtpm'] as const;
const MAX_VALUE_BYTES = 65_536;

export function createSecretApi({ call }: Caller) {
  const wire = (uuid: string) => ({ uuid, usageType: 0, usageID: '' });
  const refOf = (secret: { uuid: string; usageType: number; usageID: string }): SecretRef => ({
    uuid: secret.uuid,
    usage: USAGES[secret.usageType] ?? 'none',
    usageId: secret.usageID,
  });

  return {
    async list(options: CallOptions = {}): Promise<SecretRef[]> {
      const { secrets } = await call(
        P.connectListAllSecrets,
        { need: 1, flags: 0 },
        { deadlineMs: LIST_DEADLINE_MS, ...options },
      );
      return secrets.map(refOf);
    },
    async byUuid(uuid: string, options?: CallOptions): Promise<SecretRef> {
      return refOf((await call(P.secretLookupByUuid, { uuid }, options)).secret);
    },
    async define(xml: string, options?: CallOptions): Promise<SecretRef> {
      return refOf((await call(P.secretDefineXml, { xml, flags: 0 }, options)).secret);
    },
    /** @throws RangeError over 65,536 bytes, libvirt's limit */
    async setValue(uuid: string, value: Uint8Array, options?: CallOptions): Promise<void> {
      if (value.length > MAX_VALUE_BYTES) throw new RangeError(`a secret has at most ${MAX_VALUE_BYTES} bytes`);
      await call(P.secretSetValue, { secret: wire(uuid), value, flags: 0 }, options);
    },
    async undefine(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.secretUndefine, { secret: wire(uuid) }, options);
    },
  };
}
