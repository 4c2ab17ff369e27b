/** The command line as its users meet it: the real program against a stand-in daemon. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { exampleOperation, exampleVm, type FakeDaemon, pageWith, runHv, startFakeDaemon } from './fake-daemon.ts';

const done = { ...exampleOperation, state: 'done' as const, steps: [], finishedAt: '2026-01-01T00:00:01Z' };

describe('hv', { concurrency: 2 }, () => {
  let daemon: FakeDaemon;

  before(async () => {
    daemon = await startFakeDaemon();
    daemon.on('GET /vms', () =>
      pageWith([exampleVm, { ...exampleVm, id: '2', name: 'bad\u001b[31m\u202ename', state: 'off' as const }]),
    );
    daemon.on('GET /operations/{id}', () => done);
    for (const name of ['web-1', exampleVm.id]) {
      daemon.onRaw('GET /vms/{id}', ({ id }) =>
        id === name || id === 'web-1' || id === exampleVm.id
          ? { status: 200, body: JSON.stringify(exampleVm) }
          : {
              status: 404,
              body: JSON.stringify({
                status: 404,
                code: 'not_found',
                title: 'x',
                detail: 'x',
                hint: 'x',
                type: 'x',
                requestId: 'r',
              }),
            },
      );
    }
  });
  after(() => daemon.close());

  test('a list is a table on a terminal and an array of objects with --json', async () => {
    const table = await daemon.hv(['vm', 'list']);
    assert.equal(table.code, 0);
    assert.match(table.stdout, /^NAME +STATE +VCPU +MEMORY/);
    assert.match(table.stdout, /web-1 +● running +2 +2 GiB/);
    const json = await daemon.hv(['vm', 'list', '--json']);
    const list: unknown = JSON.parse(json.stdout);
    assert.ok(Array.isArray(list) && list.length === 2);
    assert.equal(json.stderr, '');
  });

  test('output that cannot be written is said with its reason, and a reader that went away is not', async () => {
    const inShell = async (script: string) => {
      const main = fileURLToPath(new URL('./main.ts', import.meta.url));
      const env = { PATH: process.env['PATH'], HOME: daemon.runtimeDir, HV_RUNTIME_DIR: daemon.runtimeDir };
      return (await promisify(execFile)('sh', ['-c', script, process.execPath, main], { env })).stderr;
    };
    for (const args of ['vm list', 'vm list --json', '--help']) {
      const said = await inShell(`"$0" "$1" ${args} >/dev/full || echo "code $?" >&2`);
      assert.match(said, /hv: the result could not be written to stdout: no space left on device\n.+\ncode 1\n/);
    }
    assert.equal(await inShell('{ sleep 1; "$0" "$1" vm list; echo "code $?" >&2; } | true'), 'code 0\n');
  });

  test('a foreign name cannot act on the terminal', async () => {
    const { stdout } = await daemon.hv(['vm', 'list']);
    assert.match(stdout, /bad\\u\{1b\}\[31m\\u\{202e\}name/);
    assert.ok(!stdout.includes('\u001b'));
  });

  test('a name that nobody has gets the nearest one and exit 4', async () => {
    const { code, stderr, stdout } = await daemon.hv(['vm', 'show', 'web1']);
    assert.equal(code, 4);
    assert.match(stderr, /no VM "web1"; did you mean "web-1"\?/);
    assert.match(stderr, /hv vm list/);
    assert.equal(stdout, '');
  });

  test('a failure with --json is a problem document on stdout', async () => {
    const { code, stdout } = await daemon.hv(['vm', 'show', 'web1', '--json']);
    assert.equal(code, 4);
    assert.equal(JSON.parse(stdout).code, 'not_found');
  });

  test('wrong words exit 2 and name what was meant', async () => {
    const noun = await daemon.hv(['vmm', 'list']);
    assert.equal(noun.code, 2);
    assert.match(noun.stderr, /hv has no "vmm"; did you mean "vm"\?/);
    const option = await daemon.hv(['vm', 'list', '--stat', 'off']);
    assert.equal(option.code, 2);
    assert.match(option.stderr, /did you mean "--state"/);
    const size = await daemon.hv(['vm', 'edit', 'web-1', '--memory', 'lots']);
    assert.equal(size.code, 2);
    assert.match(size.stderr, /"lots" is not a size/);
  });

  test('without a daemon: exit 6 and how to start it', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'hv-none-'));
    const { code, stderr } = await runHv(empty, ['status']);
    await rm(empty, { recursive: true });
    assert.equal(code, 6);
    assert.match(stderr, /hyperd is not running/);
    assert.match(stderr, /hv up/);
  });

  test('a runtime folder that is too long for sockets is named with its limit and the mend: exit 6', async () => {
    const { code, stdout, stderr } = await runHv(join(daemon.runtimeDir, 'x'.repeat(100)), ['op', 'list', '--json'], {
      env: { HOME: daemon.runtimeDir },
    });
    assert.equal(code, 6);
    assert.match(stderr, /bytes long and sockets take 93 at most/);
    assert.match(stderr, /Set HV_RUNTIME_DIR to a shorter path/);
    assert.equal(JSON.parse(stdout).code, 'runtime_dir_too_long');
  });

  test('the operator socket serves where there is no admin socket', async () => {
    const other = await startFakeDaemon();
    await rename(join(other.runtimeDir, 'admin.sock'), join(other.runtimeDir, 'operator.sock'));
    other.on('GET /vms', () => pageWith([exampleVm]));
    const { code, stdout } = await other.hv(['vm', 'list', '--json']);
    await other.close();
    assert.equal(code, 0);
    assert.match(stdout, /web-1/);
  });

  test('statuses of refusals become the promised exit codes', async () => {
    for (const [status, code, exit] of [
      [403, 'forbidden', 3],
      [409, 'busy', 5],
      [412, 'conflict', 5],
      [422, 'invalid_input', 2],
      [503, 'unavailable', 1],
    ] as const) {
      daemon.refuse('POST /vms/{id}/pause', {
        status,
        code,
        detail: 'because',
        hint: 'Mend it.',
        fields: [{ path: 'name', problem: 'bad', mend: 'better' }],
      });
      const result = await daemon.hv(['vm', 'pause', 'web-1']);
      assert.equal(result.code, exit, code);
      assert.match(result.stderr, /because/);
      assert.match(result.stderr, /name: bad; better/);
      assert.match(result.stderr, /Mend it\./);
    }
  });

  test('long work is followed to its end, step by step, and prints its result', async () => {
    let turns = 0;
    daemon.on('POST /vms/{id}/reset', () => ({ ...exampleOperation, id: 'op-2' }), 202);
    daemon.on('GET /operations/{id}', ({ id }) => {
      if (id !== 'op-2') return done;
      turns += 1;
      return turns < 3 ? { ...exampleOperation, id: 'op-2' } : { ...done, id: 'op-2', result: { verdict: 'fine' } };
    });
    const { code, stdout, stderr } = await daemon.hv(['vm', 'reset', 'web-1', '--json']);
    assert.equal(code, 0);
    assert.match(stderr, /Start web-1 · Boot it 2\/2/);
    assert.match(stderr, /● Start web-1: done/);
    const result = JSON.parse(stdout);
    assert.equal(result.verdict, 'fine');
    assert.equal(result.operation.id, 'op-2');
  });

  test('a daemon that restarts while its work is followed is waited for', async () => {
    const other = await startFakeDaemon();
    let turns = 0;
    other.on('POST /vms/{id}/start', () => exampleOperation, 202);
    other.onRaw('GET /operations/{id}', () => {
      turns += 1;
      if (turns === 1) other.server.closeAllConnections();
      return { status: 200, body: JSON.stringify(done) };
    });
    const { code, stderr } = await other.hv(['vm', 'start', 'web-1']);
    await other.close();
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Start web-1 is journalled as op-1 .*`hv op follow op-1`/);
    assert.match(stderr, /hyperd does not answer, trying again/);
    assert.match(stderr, /● Start web-1: done/);
  });

  test('several names are begun together; one that fails does not hold the others', async () => {
    daemon.on('POST /vms/{id}/start', ({ id }) => ({ ...done, id: `op-${id}` }), 202);
    daemon.onRaw('POST /vms/{id}/start', ({ id }) =>
      id === 'nope'
        ? {
            status: 404,
            body: JSON.stringify({
              status: 404,
              code: 'not_found',
              title: 'no',
              detail: 'no',
              hint: '',
              type: 't',
              requestId: 'r',
            }),
          }
        : { status: 202, body: JSON.stringify({ ...done, id: `op-${id}` }) },
    );
    const { code, stdout, stderr } = await daemon.hv(['vm', 'start', 'nope', 'web-1', '--json']);
    assert.equal(code, 4);
    assert.match(stderr, /no VM "nope"/);
    const results = JSON.parse(stdout);
    assert.equal(results.length, 2);
    assert.equal(results[1].id, 'op-web-1');
  });

  test('--detach prints the operation and does not wait', async () => {
    daemon.on('POST /vms/{id}/reboot', () => exampleOperation, 202);
    const { code, stdout, stderr } = await daemon.hv(['vm', 'reboot', 'web-1', '--detach', '--json']);
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).id, 'op-1');
    assert.match(stderr, /hv op follow op-1/);
  });

  test('Ctrl-C leaves the work running and says how to go on', async () => {
    daemon.on('POST /vms/{id}/stop', () => ({ ...exampleOperation, id: 'op-endless' }), 202);
    daemon.on('GET /operations/{id}', ({ id }) => (id === 'op-endless' ? { ...exampleOperation, id } : done));
    let isKilled = false;
    const { code, stderr } = await daemon.hv(['vm', 'stop', 'web-1'], {
      onStderr: (text, kill) => {
        if (!isKilled && text.includes('Boot it')) kill('SIGINT');
        isKilled ||= text.includes('Boot it');
      },
    });
    assert.equal(code, 130);
    assert.match(stderr, /hv op follow op-endless/);
    assert.match(stderr, /hv op cancel op-endless/);
  });

  test('a failed operation says at which step, why, and what to do', async () => {
    const failed = {
      ...done,
      state: 'failed' as const,
      steps: [{ name: 'boot', title: 'Boot it', state: 'failed' as const }],
      error: { code: 'no_space', title: 't', detail: 'the disk is full', hint: 'Free some.' },
    };
    daemon.on('POST /vms/{id}/resume', () => failed, 202);
    const { code, stderr, stdout } = await daemon.hv(['vm', 'resume', 'web-1', '--json']);
    assert.equal(code, 1);
    assert.match(stderr, /■ Start web-1 failed at "Boot it": the disk is full/);
    assert.match(stderr, /Free some\./);
    assert.equal(JSON.parse(stdout).state, 'failed');
  });

  test('without a terminal, deleting needs --yes and the right name', async () => {
    daemon.on('DELETE /vms/{id}', () => ({ ...done, kind: 'vm.delete' }), 202);
    const bare = await daemon.hv(['vm', 'delete', 'web-1']);
    assert.equal(bare.code, 2);
    assert.match(bare.stderr, /add --yes --name web-1/);
    assert.match(bare.stderr, /has to be confirmed/);
    assert.doesNotMatch(bare.stderr, /\.:/);
    assert.equal((await daemon.hv(['vm', 'delete', 'web-1', '--yes'])).code, 2);
    assert.equal((await daemon.hv(['vm', 'delete', 'web-1', '--yes', '--name', 'web-2'])).code, 2);
    assert.ok(!daemon.calls.some(({ method }) => method === 'DELETE'));
    const sure = await daemon.hv(['vm', 'delete', 'web-1', '--yes', '--name', 'web-1']);
    assert.equal(sure.code, 0);
    assert.match(sure.stderr, /hv trash restore web-1/);
  });

  test('create sends what was asked for, with images by name and keys from files', async () => {
    const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE me@here';
    const file = join(daemon.runtimeDir, 'id.pub');
    await writeFile(file, `${key}\n`);
    daemon.on('GET /images/{id}', ({ id }) => ({
      id: `img-${id}`,
      name: id,
      project: 'default',
      isShared: true,
      kind: 'disk',
      state: 'ready',
      format: 'qcow2',
      sizeBytes: 1,
      virtualSizeBytes: 1,
      sha256: '',
      source: 'upload',
      catalogueId: null,
      verified: 'none',
      label: null,
      usedBy: [],
      defaultUser: null,
      createdAt: '2026-01-01T00:00:00Z',
    }));
    daemon.on('POST /vms', () => done, 202);
    const { code, stderr } = await daemon.hv([
      'vm',
      'create',
      'web2',
      '--image',
      'debian-12',
      '--disk',
      '20GiB',
      '--disk',
      '1TiB,pool=fast',
      '--memory',
      '4GiB',
      '--ssh-key',
      file,
      '--bridge',
      'br0',
      '--no-start',
    ]);
    assert.equal(code, 0, stderr);
    const sent = daemon.calls.findLast(({ method, path }) => method === 'POST' && path === '/api/v1/vms');
    const body = JSON.parse(sent?.body.toString('utf8') ?? '{}');
    assert.deepEqual(body.disks, [
      { imageId: 'img-debian-12', sizeBytes: 20 * 2 ** 30 },
      { sizeBytes: 2 ** 40, pool: 'fast' },
    ]);
    assert.deepEqual(body.nics, [{ bridge: 'br0' }]);
    assert.deepEqual(body.cloudInit, { sshKeys: [key] });
    assert.equal(body.memoryBytes, 4 * 2 ** 30);
    assert.equal(body.start, false);
  });

  test('a private key never leaves the machine', async () => {
    const file = join(daemon.runtimeDir, 'id');
    await writeFile(file, '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n');
    const { code, stderr } = await daemon.hv(['vm', 'create', 'web3', '--image', 'debian-12', '--ssh-key', file]);
    assert.equal(code, 2);
    assert.match(stderr, /is a private key/);
  });

  test('an upload goes on where it stopped, in chunks, and is followed to the library', async () => {
    const file = join(daemon.runtimeDir, 'Some Disk.iso');
    const bytes = Buffer.alloc(9 * 2 ** 20, 7);
    await writeFile(file, bytes);
    let offset = 2 ** 20;
    const uploadNow = () => ({
      id: 'upl-1',
      project: 'default',
      name: 'some-disk',
      kind: 'iso' as const,
      sizeBytes: bytes.length,
      offset,
      state: 'receiving' as const,
      operationId: offset === bytes.length ? 'op-up' : null,
      expiresAt: '2026-01-01T00:00:00Z',
    });
    daemon.on('GET /images/uploads', () => pageWith([uploadNow()]));
    daemon.on('PATCH /images/uploads/{id}', ({ headers, body }) => {
      assert.equal(Number(headers['upload-offset']), offset);
      offset += body.length;
      return uploadNow();
    });
    const { code, stderr } = await daemon.hv(['image', 'upload', file]);
    assert.equal(code, 0, stderr);
    assert.equal(offset, bytes.length);
    assert.match(stderr, /going on at 11 %/);
    assert.match(stderr, /some-disk is in the library/);
  });

  test('preflight exits 0, 7 or 1 by its status, and 1 when nothing was checked', async () => {
    const check = { id: 'kvm', title: 'KVM', detail: 'found', hint: null, durationMs: 1 };
    for (const [status, exit] of [
      ['ok', 0],
      ['warn', 7],
      ['fail', 1],
      ['unknown', 1],
    ] as const) {
      daemon.on('GET /preflight', () => ({
        status,
        accel: 'tcg',
        checkedAt: '2026-01-01T00:00:00Z',
        checks: [{ ...check, status }],
      }));
      assert.equal((await daemon.hv(['preflight', '--last'])).code, exit, status);
    }
    daemon.on('GET /preflight', () => ({ status: 'ok', accel: 'tcg', checkedAt: '2026-01-01T00:00:00Z', checks: [] }));
    assert.equal((await daemon.hv(['preflight', '--last'])).code, 1);
  });

  test('health exits 0, 7 or 1 by its status, and 1 when nothing was checked; the worst comes first, with its mend', async () => {
    const result = (id: string, status: 'ok' | 'warn' | 'fail' | 'unknown', number: number) => ({
      id,
      number,
      title: `Check ${id}`,
      status,
      evidence: 'what was found',
      hint: status === 'ok' ? null : 'mend it',
      items: [],
      since: '2026-01-01T00:00:00Z',
      checkedAt: '2026-01-01T00:00:00Z',
      everySeconds: 60,
    });
    for (const [status, exit] of [
      ['ok', 0],
      ['warn', 7],
      ['fail', 1],
      ['unknown', 1],
    ] as const) {
      daemon.on('GET /health', () => ({ status, results: [result('host.cpu', status, 1)] }));
      assert.equal((await daemon.hv(['health'])).code, exit, status);
      assert.equal((await daemon.hv(['health', '--json'])).code, exit, status);
      daemon.on('GET /health/{id}', () => ({
        ...result('host.cpu', status, 1),
        meaning: 'x',
        limits: [],
        history: [],
      }));
      assert.equal((await daemon.hv(['health', 'host.cpu'])).code, exit, status);
    }
    daemon.on('GET /health', () => ({ status: 'unknown', results: [] }));
    const none = await daemon.hv(['health']);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /nothing was checked yet/);
    daemon.on('GET /health', () => ({
      status: 'fail',
      results: [result('a.ok', 'ok', 1), result('a.warn', 'warn', 2), result('a.fail', 'fail', 3)],
    }));
    const { stdout, stderr } = await daemon.hv(['health']);
    assert.deepEqual(
      [...stdout.matchAll(/\((a\.\w+)\)/g)].map((match) => match[1]),
      ['a.fail', 'a.warn', 'a.ok'],
    );
    assert.match(stdout, /→ mend it/);
    assert.match(stderr, /1 ok, 1 warn, 1 fail/);
    assert.equal((await daemon.hv(['health', 'a.ok', 'a.warn'])).code, 2);
  });

  test('a catalogue entry that could not be reached is not called checked', async () => {
    const finding = { id: 'x-1', status: 'unreachable', detail: 'its name cannot be looked up', checkedAt: '' };
    for (const [status, exit] of [
      ['unreachable', 7],
      ['ok', 0],
    ] as const) {
      daemon.on('POST /images/catalogue/check', () => ({ ...done, result: { checks: [{ ...finding, status }] } }), 202);
      const { code, stdout } = await daemon.hv(['image', 'catalogue', 'check', 'x-1']);
      assert.equal(code, exit);
      assert.match(stdout, new RegExp(`x-1 +. ${status}`));
    }
  });

  test('a screenshot is written as it came', async () => {
    const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 255]);
    daemon.onRaw('GET /vms/{id}/screenshot', () => ({ status: 200, body: png }));
    const file = join(daemon.runtimeDir, 'shot.png');
    assert.equal((await daemon.hv(['vm', 'screenshot', 'web-1', '--out', file])).code, 0);
    assert.deepEqual(await readFile(file), png);
  });

  test('completion offers nouns, verbs, options, choices and names of objects', async () => {
    const words = async (...typed: string[]) =>
      (await daemon.hv(['completion', 'words', '--', ...typed])).stdout.trim().split('\n');
    assert.deepEqual(await words('im'), ['image']);
    assert.deepEqual(await words('vm', 're'), ['reboot', 'reset', 'resume', 'rename']);
    assert.deepEqual(await words('vm', 'start', 'w'), ['web-1']);
    assert.deepEqual(await words('vm', 'create', 'x', '--firm'), ['--firmware']);
    assert.deepEqual(await words('vm', 'create', 'x', '--firmware', ''), ['uefi', 'bios']);
    assert.deepEqual(await words('vm', 'create', 'x', '--firmware', '=', 'u'), ['uefi']);
    assert.deepEqual(await words('image', 'cat'), ['catalogue']);
    assert.deepEqual(await words('image', 'upload', ''), [':file']);
  });

  test('help is there at every level', async () => {
    for (const args of [
      ['--help'],
      [],
      ['help', 'vm'],
      ['vm', '--help'],
      ['vm', 'create', '-h'],
      ['image', 'catalogue', '--help'],
    ]) {
      const { code, stdout } = await daemon.hv(args);
      assert.equal(code, 0, args.join(' '));
      assert.match(stdout, /hv/);
      const json = await daemon.hv([...args, '--json']);
      assert.equal(json.code, 0, args.join(' '));
      assert.deepEqual([json.stdout, json.stderr], ['', stdout], 'in JSON mode, help leaves stdout alone');
    }
  });
});
