import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { LibvirtError } from '#libvirt/index.ts';
import { closedPorts } from './filter-documents.ts';
import { createNicFilters } from './nic-filters.ts';

test('two daemons on one libvirt close both ports and then leave the filters alone', async () => {
  const filters = new Map<string, { readonly name: string; readonly uuid: string; readonly xml: string }>();
  let defined = 0;
  const libvirt = {
    networkFilters: {
      async byName(name: string) {
        const filter = [...filters.values()].find((one) => one.name === name);
        if (filter === undefined) throw new LibvirtError('not_found', { procedure: 'NWFILTER_LOOKUP_BY_NAME' });
        return filter;
      },
      xml: async (uuid: string) => filters.get(uuid)?.xml ?? assert.fail('asked for a filter that is not there'),
      async define(xml: string) {
        const name = /<filter name=['"]([^'"]+)/.exec(xml)?.[1] ?? assert.fail(xml);
        const uuid = `uuid of ${name}`;
        defined += 1;
        filters.set(uuid, { name, uuid, xml });
        return { name, uuid };
      },
    },
  };
  const daemonAt = (port: number) =>
    createNicFilters({
      // The fake has no more of libvirt than what is used.
      libvirt: libvirt as never,
      known: { networks: () => [] },
      port: () => port,
      clock: new TestClock(),
      log: silentLogger,
    });
  const [first, second] = [daemonAt(8443), daemonAt(9443)];
  for (let n = 0; n < 3; n += 1) for (const daemon of [first, second]) assert.equal(await daemon.ensure(), true);
  const settled = defined;
  for (let n = 0; n < 3; n += 1) for (const daemon of [first, second]) await daemon.ensure();
  assert.equal(defined, settled);
  assert.deepEqual(closedPorts(filters.get('uuid of hyper-mac')?.xml ?? ''), [8443, 9443]);

  // The rules of running guests are made anew only for a filter that is another one.
  const texts = [0, 1, 2].map(() => '');
  for (const n of texts.keys()) {
    texts[n] = filters.get('uuid of hyper-mac')?.xml ?? '';
    await (n % 2 === 0 ? first : second).renew();
    const after = defined;
    for (const daemon of [first, second, first]) await daemon.ensure();
    assert.ok(defined - after <= 2, 'the other one takes it over and leaves it alone');
  }
  const shared = defined;
  await Promise.all([first.renew(), first.renew(), first.renew()]);
  assert.equal(defined, shared + 1, 'one renewal for all who ask before it begins');
  assert.notEqual(texts[0], texts[1]);
  assert.equal(texts[0], texts[2]);
});
