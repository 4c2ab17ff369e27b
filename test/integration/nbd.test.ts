/** Our NBD client against QEMU's server, and QEMU's and libnbd's clients against ours: the same bytes, the same holes, and a
 *  guest that boots from a disk that only our server has. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mapLimit } from '#kernel/async.ts';
import { MIB } from '#kernel/units.ts';
import { HELLO_READY } from '#platform/hello-disk/index.ts';
import {
  ALLOCATION_CONTEXT,
  connectNbd,
  type NbdConnection,
  type NbdSource,
  type NbdTls,
  serveNbd,
} from '#platform/nbd/index.ts';
import { randomDisk } from '#platform/nbd/random-disk.test-data.ts';
import { run, runChecked } from '#platform/process.ts';
import { makeCertificates, type TestCertificates } from '#test/support/certificates.ts';
import { freePort } from '#test/support/free-port.ts';
import { bootGuest, helloDisk } from '#test/support/guest.ts';
import { sourceOf, startQemuNbd } from '#test/support/qemu-nbd.ts';

const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const withoutLibnbd = existsSync('/usr/bin/nbdcopy') ? false : 'nbdcopy is not installed (Debian package libnbd-bin)';
const DIRTY_CONTEXT = 'qemu:dirty-bitmap:changes';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-qnbd-'));
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

const at = (name: string) => join(folder, name);
const tool = (...argv: readonly string[]) => runChecked(argv, { timeoutMs: 120_000 });
const uriOf = (socketPath: string, exportName = 'vda') => `nbd+unix:///${exportName}?socket=${socketPath}`;

/** All extents of a context that have a flag. */
async function withFlag(connection: NbdConnection, context: string, flag: number) {
  const found: [number, number][] = [];
  for await (const { offsetBytes, lengthBytes, flags } of connection.extents(context))
    if ((flags & flag) !== 0) found.push([offsetBytes, lengthBytes]);
  return found;
}

/** Our server, which ends with the test. */
async function serving(options: Parameters<typeof serveNbd>[0]): Promise<AsyncDisposable> {
  const server = await serveNbd(options);
  return { [Symbol.asyncDispose]: () => server.close() };
}

/** Our client, which ends with the test. */
async function opened(...options: Parameters<typeof connectNbd>): Promise<NbdConnection & AsyncDisposable> {
  const connection = await connectNbd(...options);
  return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
}

/** Reads the whole disk as a backup does: in chunks of 1 MiB, eight at once. */
async function wholeDisk(connection: NbdConnection): Promise<Buffer> {
  const offsets = Array.from({ length: Math.ceil(connection.sizeBytes / MIB) }, (_, index) => index * MIB);
  const chunks = await mapLimit(offsets, 8, (offset) =>
    connection.read(offset, Math.min(MIB, connection.sizeBytes - offset)),
  );
  return Buffer.concat(chunks);
}

test('a qcow2 of QEMU is read with its holes and its dirty bitmap, byte for byte', async () => {
  const image = at('disk.qcow2');
  await tool('qemu-img', 'create', '-q', '-f', 'qcow2', image, '70M');
  await tool('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x11 1M 3M', '-c', 'write -P 0x22 40M 128k', image);
  await tool('qemu-img', 'bitmap', '--add', '-g', '65536', image, 'changes');
  await tool(
    'qemu-io',
    '-f',
    'qcow2',
    '-c',
    'write -P 0x33 2M 64k',
    '-c',
    'write -z 3M 64k',
    '-c',
    'write -P 0x44 69M 1M',
    image,
  );
  await tool('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', image, at('disk.raw'));
  const socketPath = at('disk.sock');
  await using _server = await startQemuNbd({
    image,
    format: 'qcow2',
    exportName: 'vda',
    listenOn: socketPath,
    args: ['-B', 'changes'],
  });
  const contexts = [ALLOCATION_CONTEXT, DIRTY_CONTEXT, 'qemu:dirty-bitmap:other'];
  await using connection = await opened({ socketPath }, { exportName: 'vda', contexts });
  assert.deepEqual([...connection.contexts], [ALLOCATION_CONTEXT, DIRTY_CONTEXT]);
  assert.equal(connection.sizeBytes, 70 * MIB);
  assert.deepEqual(await withFlag(connection, DIRTY_CONTEXT, 1), [
    [2 * MIB, 65_536],
    [3 * MIB, 65_536],
    [69 * MIB, MIB],
  ]);
  const zeros = await withFlag(connection, ALLOCATION_CONTEXT, 2);
  assert.deepEqual(zeros.slice(0, 3), [
    [0, MIB],
    [3 * MIB, 65_536],
    [4 * MIB, 36 * MIB],
  ]);
  assert.ok((await wholeDisk(connection)).equals(await readFile(at('disk.raw'))));
  await assert.rejects(connectNbd({ socketPath }, { exportName: 'vdb' }), { code: 'nbd_refused' });
});

test('a server that is stopped is left after the time for a request; one that is killed, at once', async () => {
  await tool('truncate', '-s', '8M', at('stop.raw'));
  const socketPath = at('stop.sock');
  await using server = await startQemuNbd({
    image: at('stop.raw'),
    format: 'raw',
    exportName: 'vda',
    listenOn: socketPath,
  });
  await using patient = await opened({ socketPath }, { exportName: 'vda' });
  await using hasty = await opened({ socketPath }, { exportName: 'vda', requestTimeoutMs: 300 });
  server.process.kill('SIGSTOP');
  await assert.rejects(hasty.read(0, MIB), { code: 'timeout' });
  await assert.rejects(connectNbd({ socketPath }, { exportName: 'vda', requestTimeoutMs: 300 }), { code: 'timeout' });
  const pending = Promise.allSettled([0, 1, 2].map((chunk) => patient.read(chunk * MIB, MIB)));
  server.process.kill('SIGKILL');
  for (const result of await pending)
    assert.equal(result.status === 'rejected' && result.reason.code, 'nbd_unreachable');
});

test('over TLS a disk is read from a server whose certificate is trusted, and from no other', async () => {
  await tool('truncate', '-s', '3M', at('tls.raw'));
  await tool('qemu-io', '-f', 'raw', '-c', 'write -P 0x55 1M 1M', at('tls.raw'));
  const pki = await makeCertificates(at('pki'), 'localhost');
  await qemuCredentials(pki);
  const [tlsPort, plainPort] = [await freePort(), await freePort()];
  const image = { image: at('tls.raw'), format: 'raw', exportName: 'vda' } as const;
  const credentials = `tls-creds-x509,id=tls0,dir=${at('pki')},endpoint=server,verify-peer=yes`;
  await using _encrypted = await startQemuNbd({
    ...image,
    listenOn: tlsPort,
    args: ['--object', credentials, '--tls-creds', 'tls0'],
  });
  await using _plain = await startQemuNbd({ ...image, listenOn: plainPort });
  const client = { certFile: pki.clientCertFile, keyFile: pki.clientKeyFile };
  const open = (port: number, tls?: NbdTls) =>
    opened(
      { host: '127.0.0.1', port, ...(tls ? { tls } : {}) },
      { exportName: 'vda', contexts: [ALLOCATION_CONTEXT], requestTimeoutMs: 10_000 },
    );

  for (const serverName of [undefined, 'localhost']) {
    await using connection = await open(tlsPort, { caFile: pki.caFile, client, ...(serverName ? { serverName } : {}) });
    assert.ok((await wholeDisk(connection)).equals(await readFile(at('tls.raw'))));
  }
  await using plain = await open(plainPort);
  assert.ok((await wholeDisk(plain)).equals(await readFile(at('tls.raw'))));

  const refused = { code: 'nbd_refused' };
  await assert.rejects(open(tlsPort), { ...refused, message: /wants an encrypted connection/ });
  await assert.rejects(open(plainPort, { caFile: pki.caFile, client }), {
    ...refused,
    message: /offers no encryption/,
  });
  await assert.rejects(open(tlsPort, { caFile: pki.foreignCaFile, client }), refused);
  await assert.rejects(open(tlsPort, { caFile: pki.caFile, client, serverName: 'elsewhere' }), refused);
  await assert.rejects(open(tlsPort, { caFile: pki.caFile }), refused);
  const foreign = { certFile: pki.foreignCertFile, keyFile: pki.foreignKeyFile };
  await assert.rejects(open(tlsPort, { caFile: pki.caFile, client: foreign }), refused);
});

/** QEMU looks for fixed names in a folder. */
async function qemuCredentials(pki: TestCertificates): Promise<void> {
  await symlink(pki.caFile, at('pki/ca-cert.pem'));
  await symlink(pki.hostCertFile, at('pki/server-cert.pem'));
  await symlink(pki.hostKeyFile, at('pki/server-key.pem'));
}

test('qemu-img sees and copies what our server serves, and asks for no zeros', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const disk = randomDisk(seed, 24 * MIB + 512, 3 * MIB);
  const socketPath = at('ours.sock');
  let [readBytes, zeroBytes] = [0, 0];
  const source: NbdSource = {
    ...disk,
    read: (offset, length) => {
      readBytes += length;
      return disk.read(offset, length);
    },
  };
  await using _site = await serving({ socketPath, exports: new Map([['vda', source]]) });
  const seen: unknown = JSON.parse((await tool('qemu-img', 'map', '--output=json', uriOf(socketPath))).stdout);
  assert.ok(Array.isArray(seen));
  for (const { start, length, zero } of seen) {
    if (!zero) continue;
    zeroBytes += length;
    assert.ok(
      disk.bytes.subarray(start, start + length).every((byte) => byte === 0),
      `${length} zeros at ${start}`,
    );
  }
  assert.ok(zeroBytes > disk.sizeBytes / 4, `${zeroBytes} bytes are zeros`);
  assert.ok(readBytes <= 65_536, 'only the format is probed');
  readBytes = 0;
  await tool('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uriOf(socketPath), at('copied.raw'));
  assert.ok((await readFile(at('copied.raw'))).equals(disk.bytes));
  assert.ok(readBytes <= disk.sizeBytes - zeroBytes + seen.length * 65_536, `${readBytes} bytes were asked for`);
  await tool('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uriOf(socketPath), at('copied.raw'));
});

test('nbdinfo and nbdcopy take our server for a good one', { skip: withoutLibnbd }, async (context) => {
  context.diagnostic(`seed ${seed}`);
  const disk = randomDisk(seed + 1, 30 * MIB + 100, 2 * MIB);
  const socketPath = at('libnbd.sock');
  const exports = new Map<string, NbdSource>([
    ['vda', disk],
    ['vdb', { sizeBytes: MIB, read: async (_offset, length) => Buffer.alloc(length) }],
  ]);
  await using _site = await serving({ socketPath, exports });
  const info: unknown = JSON.parse(
    (await tool('nbdinfo', '--json', '--list', `nbd+unix:///?socket=${socketPath}`)).stdout,
  );
  assert.ok(typeof info === 'object' && info !== null && 'exports' in info && Array.isArray(info.exports));
  assert.deepEqual(
    info.exports.map((each) => [
      each['export-name'],
      each['export-size'],
      each['is_read_only'],
      each['can_multi_conn'],
      each['contexts'],
    ]),
    [
      ['vda', disk.sizeBytes, true, true, [ALLOCATION_CONTEXT]],
      ['vdb', MIB, true, true, [ALLOCATION_CONTEXT]],
    ],
  );
  for (const options of [['--connections=4'], ['--synchronous'], ['--request-size=33554432'], ['--no-extents']]) {
    await tool('nbdcopy', ...options, uriOf(socketPath), at('nbdcopy.raw'));
    assert.ok((await readFile(at('nbdcopy.raw'))).equals(disk.bytes), options.join());
    await rm(at('nbdcopy.raw'));
  }
});

test('a client of QEMU gets an input/output error where the source has none of its bytes, and may not write', async () => {
  const socketPath = at('bad.sock');
  const source: NbdSource = {
    sizeBytes: 4 * MIB,
    read: async (offset, length) => {
      if (offset >= 2 * MIB && offset < 3 * MIB) throw new Error('chunk 2 is bad');
      return Buffer.alloc(length, 6);
    },
  };
  const errors: string[] = [];
  await using _site = await serving({
    socketPath,
    exports: new Map([['vda', source]]),
    onReadError: (name) => errors.push(name),
  });
  const io = (...commands: readonly string[]) =>
    run(['qemu-io', '-r', ...commands.flatMap((command) => ['-c', command]), '-f', 'raw', uriOf(socketPath)], {
      timeoutMs: 20_000,
    });
  const reads = await io('read -P 6 1M 1M', 'read 2M 64k', 'read -P 6 3M 1M');
  assert.match(reads.stdout + reads.stderr, /read failed: Input\/output error/);
  assert.equal((reads.stdout.match(/^read 1048576\/1048576 bytes/gm) ?? []).length, 2, reads.stdout);
  assert.ok(errors.length > 0 && errors.every((name) => name === 'vda'));
  const writes = await run(['qemu-io', '-c', 'write 0 64k', '-f', 'raw', uriOf(socketPath)], { timeoutMs: 20_000 });
  assert.match(writes.stderr, /Permission denied/);
  assert.notEqual(
    (
      await run(['qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uriOf(socketPath), at('bad.raw')], {
        timeoutMs: 20_000,
      })
    ).code,
    0,
  );
});

test('a guest boots from an overlay on our server, keeps its writes, and pulls the rest without the zeros', async () => {
  const origin = at('origin.sock');
  await using _qemu = await startQemuNbd({
    image: await helloDisk(),
    format: 'qcow2',
    exportName: 'hello',
    listenOn: origin,
  });
  await using connection = await opened(
    { socketPath: origin },
    { exportName: 'hello', contexts: [ALLOCATION_CONTEXT] },
  );
  const disk = sourceOf(connection);
  const zeroBytes = (await withFlag(connection, ALLOCATION_CONTEXT, 2)).reduce((sum, [, bytes]) => sum + bytes, 0);
  let readBytes = 0;
  const source: NbdSource = {
    ...disk,
    read: (offset, length) => {
      readBytes += length;
      return disk.read(offset, length);
    },
  };
  const socketPath = at('boot.sock');
  const errors: unknown[] = [];
  const onReadError = (_name: string, error: unknown) => errors.push(error);
  const server = await serveNbd({ socketPath, exports: new Map([['vda', source]]), onReadError });
  const overlay = at('overlay.qcow2');
  try {
    await tool('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', uriOf(socketPath), overlay);
    {
      await using guest = await bootGuest({ disk: overlay });
      await guest.waitForSerial(new RegExp(`^${HELLO_READY}\r?$`, 'm'), 180_000);
      await guest.waitForSerial(/hello:.*# /);
      guest.type('echo kept > /data/word; sync; cat /data/boots\n');
      await guest.waitForSerial(/\r\n1\r\n/);
      await guest.qmp('system_powerdown');
      assert.equal(await guest.exited, 0);
    }
    assert.ok(readBytes > 0 && readBytes < disk.sizeBytes - zeroBytes, `a boot read ${readBytes} bytes`);
    await using guest = await bootGuest({ disk: overlay });
    await guest.waitForSerial(/hello:.*# /, 180_000);
    readBytes = 0;
    await guest.qmp('block-stream', { device: 'virtio0', 'job-id': 'pull' });
    while (JSON.stringify(await guest.qmp('query-block-jobs')).includes('pull')) await delay(100);
    assert.ok(readBytes <= disk.sizeBytes - zeroBytes, `${readBytes} bytes were pulled; ${zeroBytes} are zeros`);
    await server.close();
    guest.type('echo 3 > /proc/sys/vm/drop_caches; cat /data/boots /data/word\n');
    await guest.waitForSerial(/2\r\nkept\r\n/);
  } finally {
    await server.close();
  }
  assert.deepEqual(errors, []);
  const chain = JSON.parse((await tool('qemu-img', 'info', '--output=json', overlay)).stdout);
  assert.equal(chain['backing-filename'], undefined, 'the overlay needs our server no more');
});
