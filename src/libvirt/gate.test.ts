import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LibvirtError } from './errors.ts';
import { createGate } from './gate.ts';

const slow = { name: 'SLOW', isHighPriority: false };
const urgent = { name: 'URGENT', isHighPriority: true };
const settle = () => new Promise((resolve) => setImmediate(resolve));

function setup() {
  const gate = createGate({ running: 2, priorityExtra: 1, waiting: 2 });
  const finish: (() => void)[] = [];
  const work = () => new Promise<void>((resolve) => finish.push(resolve));
  return { gate, finish, work };
}

test('at most the allowed number runs, the rest waits in line', async () => {
  const { gate, finish, work } = setup();
  const all = [1, 2, 3, 4].map(() => gate.pass(slow, {}, work));
  await settle();
  assert.equal(finish.length, 2);
  finish[0]?.();
  await settle();
  assert.equal(finish.length, 3);
  for (let index = 1; index < 4; index += 1) {
    finish[index]?.();
    await settle();
  }
  await Promise.all(all);
});

test('a call of high priority passes when all others hang', async () => {
  const { gate, finish, work } = setup();
  const all = [1, 2, 3].map(() => gate.pass(slow, {}, work));
  await settle();
  assert.equal(await gate.pass(urgent, {}, async () => 'done'), 'done');
  assert.equal(finish.length, 2);
  for (let index = 0; index < 3; index += 1) {
    finish[index]?.();
    await settle();
  }
  await Promise.all(all);
});

test('a full line refuses at once, a place in it can be given up', async () => {
  const { gate, work } = setup();
  void gate.pass(slow, {}, work);
  void gate.pass(slow, {}, work);
  const controller = new AbortController();
  const waiting = gate.pass(slow, { signal: controller.signal }, work);
  const late = gate.pass(slow, { deadlineMs: 5 }, work);
  await assert.rejects(
    gate.pass(slow, {}, work),
    (error) => error instanceof LibvirtError && error.code === 'libvirt_unavailable',
  );
  controller.abort();
  await assert.rejects(waiting, (error) => error instanceof LibvirtError && error.code === 'cancelled');
  await assert.rejects(late, (error) => error instanceof LibvirtError && error.code === 'libvirt_unavailable');
});
