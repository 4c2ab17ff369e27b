import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkErrors } from '#contract/networks.ts';
import { registerErrors } from '#kernel/errors.ts';
import { addressIn, chooseSubnet, hostSubnets, overlap, parseRoutes } from './subnet.ts';

registerErrors(networkErrors);

const ROUTES = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
virbr0\t007AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
`;

test('routes are read with their masks, without the default route', () => {
  assert.deepEqual(parseRoutes(ROUTES), [
    { address: '192.168.0.0', prefix: 24 },
    { address: '192.168.122.0', prefix: 24 },
    { address: '10.0.0.0', prefix: 8 },
  ]);
});

test('subnets overlap when one holds the other', () => {
  assert.equal(overlap({ address: '10.0.0.0', prefix: 8 }, { address: '10.180.77.0', prefix: 24 }), true);
  assert.equal(overlap({ address: '192.168.122.1', prefix: 24 }, { address: '192.168.123.0', prefix: 24 }), false);
  assert.equal(overlap({ address: '203.0.113.5', prefix: 32 }, { address: '203.0.113.5', prefix: 32 }), true);
});

test('the usual subnet is taken when it is free, and a free one when it is not', () => {
  assert.equal(chooseSubnet([]).address, '192.168.122.0');
  assert.equal(chooseSubnet(parseRoutes(ROUTES)).address, '192.168.200.0');
  assert.equal(chooseSubnet([{ address: '192.168.0.0', prefix: 16 }]).address, '10.180.77.0');
});

test('a host that uses every private range gets a clear refusal', () => {
  const all = [
    { address: '10.0.0.0', prefix: 8 },
    { address: '172.16.0.0', prefix: 12 },
    { address: '192.168.0.0', prefix: 16 },
  ];
  assert.throws(() => chooseSubnet(all), { code: 'no_free_subnet' });
});

test('addresses in a subnet are counted from its network address', () => {
  assert.equal(addressIn({ address: '192.168.122.0', prefix: 24 }, 1), '192.168.122.1');
  assert.equal(addressIn({ address: '10.0.0.0', prefix: 16 }, 300), '10.0.1.44');
});

test('this host tells its own subnets', async () => {
  assert.ok((await hostSubnets()).some((subnet) => subnet.address.startsWith('127.')));
});
