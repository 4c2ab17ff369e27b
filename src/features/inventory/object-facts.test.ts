import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkFacts, poolFacts, volumeFacts } from './object-facts.ts';

test('a NAT network tells its bridge, address and DHCP', () => {
  const facts =
    networkFacts(`<network connections='1'><name>default</name><forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>
    <bridge name='virbr0' stp='on' delay='0'/><ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>`);
  assert.deepEqual(facts, {
    kind: 'nat',
    bridge: 'virbr0',
    addresses: [{ address: '192.168.122.1', prefix: 24, dhcp: true }],
    hasDhcp: true,
    isManaged: false,
  });
});

test('a network without forwarding is isolated, one of an unknown mode is other', () => {
  assert.equal(networkFacts('<network><name>a</name></network>').kind, 'isolated');
  assert.equal(networkFacts("<network><name>a</name><forward mode='hostdev'/></network>").kind, 'other');
  assert.equal(networkFacts('<network><name>a</name><forward/></network>').kind, 'nat');
});

test('our own mark makes a network managed', () => {
  assert.equal(
    networkFacts("<network><name>a</name><metadata><hyper:made xmlns:hyper='urn:hyper-nixos:1'/></metadata></network>")
      .isManaged,
    true,
  );
});

test('pools and volumes tell kind, path, sizes and format', () => {
  assert.deepEqual(poolFacts("<pool type='dir'><name>p</name><target><path>/var/disks</path></target></pool>"), {
    kind: 'dir',
    path: '/var/disks',
  });
  assert.deepEqual(
    volumeFacts(
      "<volume type='file'><name>a</name><capacity unit='bytes'>1048576</capacity><allocation unit='bytes'>4096</allocation><target><path>/d/a</path><format type='qcow2'/></target></volume>",
    ),
    { path: '/d/a', sizeBytes: 1048576, allocatedBytes: 4096, format: 'qcow2' },
  );
});
