/** Starting programs: what comes back, what is capped, and that nothing survives its deadline. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '#kernel/errors.ts';
import { run, runChecked } from './process.ts';

const limits = { timeoutMs: 10_000 };

function failsWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}

test('output, input and exit status come back', async () => {
  const result = await run(['sh', '-c', 'cat; echo problem >&2; exit 3'], {
    ...limits,
    stdin: 'hello',
  });
  assert.deepEqual(result, { code: 3, stdout: 'hello', stderr: 'problem\n' });
});

test('F17: arguments reach the program as they are, without a shell', async () => {
  const hostile = '$(touch /tmp/never) ; `id` "quoted" \n *';
  const result = await run(['printf', '%s', hostile], limits);
  assert.equal(result.stdout, hostile);
});

test('the environment of the daemon is not passed on', async () => {
  process.env['HV_TEST_SECRET'] = 'secret';
  try {
    const result = await run(['env'], { ...limits, env: { GIVEN: 'yes' } });
    assert.match(result.stdout, /^GIVEN=yes$/m);
    assert.doesNotMatch(result.stdout, /HV_TEST_SECRET/);
  } finally {
    delete process.env['HV_TEST_SECRET'];
  }
});

test('a missing program names the package that has it', async () => {
  await assert.rejects(
    run(['/nonexistent/qemu-img', 'info'], limits),
    (error) => failsWith('program_missing')(error) && error instanceof AppError && error.hint.includes('qemu-utils'),
  );
});

test('the deadline kills the program and its children', async () => {
  const started = performance.now();
  await assert.rejects(run(['sh', '-c', 'sleep 60 & sleep 60'], { timeoutMs: 100 }), failsWith('timeout'));
  assert.ok(performance.now() - started < 5000, 'the call came back although a child holds the pipes');
});

test('an aborted signal ends the program with the reason', async () => {
  const controller = new AbortController();
  const running = run(['sleep', '60'], {
    ...limits,
    signal: controller.signal,
  });
  controller.abort(new AppError('cancelled'));
  await assert.rejects(running, failsWith('cancelled'));
});

test('a program ends with the process that started it, even after kill -9', async () => {
  const module = join(import.meta.dirname, 'process.ts');
  const parent = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import { run } from ${JSON.stringify(module)}; await run(['sh', '-c', 'echo $$ >&2; exec sleep 60 2>/dev/null'], { timeoutMs: 60_000 });`,
  ]);
  const children = `/proc/${parent.pid}/task/${parent.pid}/children`;
  const started = await until(async () => (await readFile(children, 'utf8')).trim());
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await until(async () => ((await stateOf(started)) === 'gone' ? 'gone' : ''));
});

/** A zombie that nobody has waited for is gone too. */
async function stateOf(pid: string): Promise<'alive' | 'gone'> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z') ? 'gone' : 'alive';
}

async function until(look: () => Promise<string>): Promise<string> {
  for (let tries = 500; tries > 0; tries -= 1) {
    const found = await look();
    if (found !== '') return found;
    await delay(20);
  }
  return assert.fail('it did not happen within 10 s');
}

test('endless output is cut and refused', async () => {
  await assert.rejects(run(['yes'], { ...limits, maxOutputBytes: 10_000 }), failsWith('program_output_too_large'));
});

test('a program that does not read its input does not hurt us', async () => {
  const result = await run(['true'], {
    ...limits,
    stdin: 'x'.repeat(2_000_000),
  });
  assert.equal(result.code, 0);
});

test('a death by signal counts as a shell counts it', async () => {
  const result = await run(['sh', '-c', 'kill -TERM $$'], limits);
  assert.equal(result.code, 143);
});

test('a checked run turns a bad exit status into an error that keeps the output for the log', async () => {
  await assert.rejects(
    runChecked(['sh', '-c', 'echo /secret/path >&2; exit 2'], limits),
    (error) =>
      failsWith('program_failed')(error) &&
      error instanceof AppError &&
      !error.message.includes('/secret/path') &&
      error.cause instanceof Error &&
      error.cause.message.includes('/secret/path'),
  );
});
