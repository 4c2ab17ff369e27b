import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '#kernel/ids.ts';
import { parseXml } from '#libvirt/index.ts';
import { isInProofNetwork, proofNetwork } from './proof-network.ts';

test('each proof has a bridge, a packet filter and addresses of its own, and no way out', () => {
  const networks = Array.from({ length: 200 }, () => proofNetwork(newId('op')));
  for (const { bridge, table, xml, address } of networks) {
    assert.match(bridge, /^hvp[0-9a-f]{8}$/);
    assert.ok(table.endsWith(bridge.slice(3)));
    assert.match(address, /^198\.1[89]\.\d{1,3}\.\d{1,3}$/);
    assert.doesNotMatch(xml, /forward/);
    parseXml(xml);
  }
  assert.equal(new Set(networks.map(({ bridge }) => bridge)).size, networks.length);
});

test('the same proof finds its own names again; an address in use is passed over', () => {
  const id = newId('op');
  const first = proofNetwork(id);
  assert.deepEqual(proofNetwork(id), first);
  const second = proofNetwork(id, new Set([first.address]));
  assert.notEqual(second.address, first.address);
  assert.ok(!isInProofNetwork(first, second.address));
});

test('an address counts only inside of the proof, and is never the host', () => {
  const network = { address: '198.18.3.33' };
  assert.ok(isInProofNetwork(network, '198.18.3.34'));
  assert.ok(isInProofNetwork(network, '198.18.3.46'));
  for (const other of [
    '198.18.3.33',
    '198.18.3.48',
    '198.18.3.31',
    '127.0.0.1',
    '10.0.0.1',
    '::1',
    'x',
    '198.18.3.256',
    '',
  ])
    assert.ok(!isInProofNetwork(network, other), other);
});

test('the filter drops all that the guest begins but its question for an address', () => {
  const { rules, bridge } = proofNetwork('op-x');
  const input = /chain in \{([\s\S]*?)\}/.exec(rules)?.[1]?.trim().split('\n') ?? [];
  assert.equal(input.at(-1)?.trim(), `iifname "${bridge}" drop`);
  assert.ok(
    input
      .slice(1, -1)
      .every((line) => /sport 68 udp dport 67 accept$|direction reply ct state established accept$/.test(line)),
  );
  assert.match(rules, new RegExp(`iifname "${bridge}" drop\\n    oifname "${bridge}" drop`));
});
