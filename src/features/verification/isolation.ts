/** Sets up and takes down the network of a proof. The packet filter comes first and goes last: there is no moment at which the guest has a
 *  card and no filter. Where the filter cannot be set (hyperd without the right to, no nftables) there is no card. */

import { AppError, messageOf } from '#kernel/errors.ts';
import { isNotFound, type LibvirtHost } from '#libvirt/index.ts';
import { type RunOptions, type RunResult, run } from '#platform/process.ts';
import { operationOfProof } from './proof-domain.ts';
import { isInProofNetwork, PROOF_TABLE_PREFIX, type ProofNetwork, proofNetwork } from './proof-network.ts';

export interface Isolation {
  /** Null = the test VM gets no card; `reason` says why, for the evidence. */
  up(operationId: string): Promise<{ readonly network: ProofNetwork | null; readonly reason: string | null }>;
  /** Address that the card of the guest was given, null while none. */
  addressOf(network: ProofNetwork): Promise<string | null>;
  /** Takes down whatever of it is there. */
  down(operationId: string): Promise<void>;
  /** Operations that something is there of. */
  leftovers(): Promise<readonly string[]>;
  /** Packet filters of proofs that are none of these operations. */
  downOrphanRules(keep: ReadonlySet<string>): Promise<void>;
}

const NFT_MS = 10_000;

/** The part of libvirt that this takes. */
export interface ProofNetworks {
  readonly networks: Pick<
    LibvirtHost['networks'],
    'byName' | 'define' | 'create' | 'destroy' | 'undefine' | 'list' | 'leases'
  >;
}

export function createIsolation(
  libvirt: ProofNetworks,
  start: (argv: readonly string[], options: RunOptions) => Promise<RunResult> = run,
): Isolation {
  const { networks } = libvirt;
  const used = new Map<string, string>();
  const nft = async (rules: string) => {
    const { code, stderr } = await start(['nft', '-f', '-'], { timeoutMs: NFT_MS, stdin: rules });
    if (code !== 0) throw new AppError('unavailable', { detail: firstLine(stderr) });
  };
  const tables = async (): Promise<string[]> => {
    const { code, stdout } = await start(['nft', 'list', 'tables', 'inet'], { timeoutMs: NFT_MS });
    return code !== 0 ? [] : stdout.split('\n').flatMap((line) => line.trim().split(' ')[2] ?? []);
  };
  const dropRules = async (table: string) => {
    // Made first, so that deleting it never fails for not being there.
    await nft(`table inet ${table}\ndelete table inet ${table}\n`);
  };
  const named = async (name: string) => {
    try {
      return await networks.byName(name);
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  };

  const down: Isolation['down'] = async (operationId) => {
    const { name, table } = proofNetwork(operationId);
    const found = await named(name);
    if (found !== null) {
      await networks.destroy(found.uuid).catch((error: unknown) => {
        // It is off already; when it is not, undefining it fails too and says so.
        if (!isOff(error)) throw error;
      });
      await networks.undefine(found.uuid);
    }
    used.delete(operationId);
    if ((await tables().catch((): string[] => [])).includes(table)) await dropRules(table);
  };

  return {
    async up(operationId) {
      const network = proofNetwork(operationId, new Set(used.values()));
      try {
        await nft(network.rules);
      } catch (error) {
        return { network: null, reason: `The packet filter cannot be set here: ${messageOf(error)}` };
      }
      used.set(operationId, network.address);
      try {
        const { uuid } = await networks.define(network.xml);
        await networks.create(uuid);
      } catch (error) {
        await down(operationId);
        return { network: null, reason: `The isolated network does not start: ${messageOf(error)}` };
      }
      return { network, reason: null };
    },
    async addressOf(network) {
      const found = await named(network.name);
      const leases = found === null ? [] : await networks.leases(found.uuid);
      return leases.find(({ address }) => isInProofNetwork(network, address))?.address ?? null;
    },
    down,
    async leftovers() {
      return (await networks.list()).flatMap(({ name }) => operationOfProof(name) ?? []);
    },
    async downOrphanRules(keep) {
      const kept = new Set([...keep].map((operationId) => proofNetwork(operationId).table));
      const found = await tables().catch((): string[] => []);
      for (const table of found) if (table.startsWith(PROOF_TABLE_PREFIX) && !kept.has(table)) await dropRules(table);
    },
  };
}

const firstLine = (text: string) => text.trim().split('\n')[0] || 'nft failed';

/** VIR_ERR_OPERATION_INVALID: the network is not active. */
function isOff(error: unknown): boolean {
  return messageOf(error).includes('not active') || isNotFound(error);
}
