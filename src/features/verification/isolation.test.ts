import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibvirtError } from '#libvirt/index.ts';
import { createIsolation } from './isolation.ts';
import { proofNetwork } from './proof-network.ts';

const OPERATION = 'op-01kabcdefghjkmnpqrstvwxyz0';

/** libvirt's networks and nft, and what was asked of both in order. */
function world(options: { readonly nftCode?: number; readonly isNetworkRefused?: boolean } = {}) {
  const acts: string[] = [];
  const defined = new Map<string, string>();
  const tables = new Set<string>();
  const networks = {
    async byName(name: string) {
      if (!defined.has(name)) throw new LibvirtError('not_found', { procedure: 'NETWORK_LOOKUP_BY_NAME' });
      return { uuid: name, name };
    },
    async define(xml: string) {
      const name = /<name>([^<]+)/.exec(xml)?.[1] ?? '';
      defined.set(name, xml);
      acts.push('define');
      return { uuid: name, name };
    },
    async create() {
      if (options.isNetworkRefused) throw new Error('bridge refused');
      acts.push('create');
    },
    async destroy() {
      acts.push('destroy');
    },
    async undefine(uuid: string) {
      defined.delete(uuid);
      acts.push('undefine');
    },
    list: async () => [...defined.keys()].map((name) => ({ uuid: name, name })),
    leases: async () => [],
  };
  const isolation = createIsolation({ networks }, async (argv, { stdin }) => {
    if ((options.nftCode ?? 0) !== 0) return { code: 1, stdout: '', stderr: 'Operation not permitted\n' };
    if (argv.includes('list'))
      return { code: 0, stdout: [...tables].map((table) => `table inet ${table}\n`).join(''), stderr: '' };
    const rules = String(stdin);
    const table = /table inet (\S+)/.exec(rules)?.[1] ?? '';
    if (rules.includes('chain')) tables.add(table);
    else tables.delete(table);
    acts.push(rules.includes('chain') ? 'filter on' : 'filter off');
    return { code: 0, stdout: '', stderr: '' };
  });
  return { isolation, acts, defined, tables };
}

test('the filter comes before the network and goes after it', async () => {
  const { isolation, acts, defined, tables } = world();
  const { network, reason } = await isolation.up(OPERATION);
  assert.equal(network?.name, proofNetwork(OPERATION).name);
  assert.equal(reason, null);
  await isolation.down(OPERATION);
  assert.deepEqual(acts, ['filter on', 'define', 'create', 'destroy', 'undefine', 'filter off']);
  assert.equal(defined.size + tables.size, 0);
  await isolation.down(OPERATION);
  assert.equal(acts.length, 6);
});

test('without the right to set a filter there is no network, and it says why', async () => {
  const { isolation, acts } = world({ nftCode: 1 });
  const { network, reason } = await isolation.up(OPERATION);
  assert.equal(network, null);
  assert.match(reason ?? '', /packet filter cannot be set here: Operation not permitted/);
  assert.deepEqual(acts, []);
});

test('a network that does not start leaves neither itself nor its filter', async () => {
  const { isolation, defined, tables } = world({ isNetworkRefused: true });
  const { network, reason } = await isolation.up(OPERATION);
  assert.equal(network, null);
  assert.match(reason ?? '', /bridge refused/);
  assert.equal(defined.size + tables.size, 0);
});

test('filters of proofs that are over go, those of open ones and of others stay', async () => {
  const { isolation, tables } = world();
  await isolation.up(OPERATION);
  tables.add('hyper_proof_00000000');
  tables.add('somebodys');
  await isolation.downOrphanRules(new Set([OPERATION]));
  assert.deepEqual([...tables].sort(), [proofNetwork(OPERATION).table, 'somebodys'].sort());
});
