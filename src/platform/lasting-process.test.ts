import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLasting } from './lasting-process.ts';

const folder = await mkdtemp(join(tmpdir(), 'hv-lasting-'));
after(() => rm(folder, { recursive: true }));
const MODULE = new URL('./lasting-process.ts', import.meta.url).href;

test('it goes on when the one who started it is killed, and keeps nothing of our environment', async () => {
  const logPath = join(folder, 'log');
  const order = {
    argv: ['/bin/sh', '-c', 'echo pid $$; echo env $SECRET$KEPT; exec sleep 60'],
    env: { KEPT: 'kept' },
    logPath,
    unit: 'hyper-test',
  };
  const starter = spawn(
    process.execPath,
    [
      '-e',
      `import(${JSON.stringify(MODULE)}).then(async ({ startLasting }) => {
         await startLasting(${JSON.stringify(order)}, { booted: '/nowhere' });
         process.stdout.write('started');
         setInterval(() => undefined, 1000);
       })`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, SECRET: 'secret' } },
  );
  await once(starter.stdout, 'data');
  let printed = '';
  while (!printed.includes('env ')) {
    printed = await readFile(logPath, 'utf8');
    await sleep(20);
  }
  assert.match(printed, /env kept\n/);
  const pid = Number(/pid (\d+)/.exec(printed)?.[1]);
  starter.kill('SIGKILL');
  await once(starter, 'exit');
  await sleep(100);
  assert.ok(process.kill(pid, 0), 'it is still there');
  process.kill(pid, 'SIGKILL');
});

test('under systemd it gets a unit of its own; where that is refused it is started all the same', async () => {
  const asked: (readonly string[])[] = [];
  const order = {
    argv: ['/bin/sh', '-c', 'echo here'],
    env: { A: '1' },
    logPath: join(folder, 'unit.log'),
    unit: 'hyper-x',
  } as const;
  for (const code of [0, 1]) {
    await startLasting(order, {
      booted: folder,
      runProgram: async (argv) => {
        asked.push(argv);
        return { code, stdout: '', stderr: '' };
      },
    });
  }
  assert.deepEqual(asked[0]?.slice(-4), ['--', '/bin/sh', '-c', 'echo here']);
  assert.ok(asked[0]?.includes('--unit=hyper-x') && asked[0].includes('--setenv=A=1'));
  let printed = '';
  while (printed === '') {
    printed = await readFile(order.logPath, 'utf8').catch(() => '');
    await sleep(20);
  }
  assert.equal(printed, 'here\n', 'once: by us, after systemd refused');
});
