import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { cloudInitSchema } from '#contract/vms.ts';
import { newUuid } from '#kernel/ids.ts';
import { checkCloudInit, seedDocuments } from './cloud-init.ts';

const vmId = newUuid();
const seedOf = (input: object, passwordHash: string | null = null) =>
  seedDocuments({ vmId, vmName: 'web1', cloudInit: cloudInitSchema.parse(input), passwordHash });

test('keys, user, packages and the host name reach user data', () => {
  const documents = seedOf({
    user: 'ana',
    sshKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJ1 ana: "x"'],
    packages: ['nginx'],
  });
  assert.ok(documents.userData.startsWith('#cloud-config\n'));
  assert.deepEqual(parse(documents.userData), {
    hostname: 'web1',
    users: [
      {
        name: 'ana',
        sudo: 'ALL=(ALL) NOPASSWD:ALL',
        lock_passwd: true,
        ssh_authorized_keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJ1 ana: "x"'],
      },
    ],
    package_update: true,
    packages: ['nginx'],
  });
  assert.deepEqual(parse(documents.metaData), { 'instance-id': vmId, 'local-hostname': 'web1' });
  assert.equal(documents.networkConfig, null);
});

test('a password is passed on as its hash, for the image user or a named one', () => {
  assert.equal(parse(seedOf({}, '$6$salt$hash').userData).password, '$6$salt$hash');
  const [user] = parse(seedOf({ user: 'ana' }, '$6$salt$hash').userData).users;
  assert.equal(user.passwd, '$6$salt$hash');
  assert.equal(user.lock_passwd, false);
});

test('G1: whatever the comment of a key holds, it stays one string', () => {
  const comment = fc.string({ maxLength: 60 }).map((text) => text.replaceAll(/[\p{Cc}\r\n]/gu, ''));
  let count = 0;
  fc.assert(
    fc.property(comment, (text) => {
      count += 1;
      const key = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJ1 ${text}`;
      const document = parse(seedOf({ sshKeys: [key] }).userData);
      assert.deepEqual(document, { hostname: 'web1', ssh_authorized_keys: [key] });
    }),
    { numRuns: 1000 },
  );
  console.log(`# count: ${count} key comments round trip through YAML`);
});

const accepted = [
  '#cloud-config\n',
  '#cloud-config\nhostname: a\n',
  '#!/bin/sh\nid\n',
  '#cloud-config\npackages: [a, b]',
];
for (const userData of accepted.slice(1)) {
  test(`user data is accepted: ${JSON.stringify(userData)}`, () => checkCloudInit(cloudInitSchema.parse({ userData })));
}

const refused = [
  ['hostname: a', 'userData'],
  ['#cloud-config\n- a\n- b', 'userData'],
  ['#cloud-config\na: [', 'userData'],
  [
    '#cloud-config\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]',
    'userData',
  ],
] as const;
for (const [userData, field] of refused) {
  test(`G1: user data is refused with its field: ${JSON.stringify(userData.slice(0, 40))}`, () => {
    assert.throws(
      () => checkCloudInit(cloudInitSchema.parse({ userData })),
      (error: { code: string; fields: { path: string }[] }) =>
        error.code === 'invalid_input' && error.fields[0]?.path === `cloudInit.${field}`,
    );
  });
}

test('network data must be a network-config document', () => {
  checkCloudInit(cloudInitSchema.parse({ networkData: 'version: 2\nethernets: {}' }));
  checkCloudInit(cloudInitSchema.parse({ networkData: 'network:\n  version: 1\n  config: []' }));
  assert.throws(() => checkCloudInit(cloudInitSchema.parse({ networkData: 'auto eth0' })), { code: 'invalid_input' });
});
