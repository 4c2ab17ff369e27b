import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUsageMeter } from './usage.ts';

const at = new Date('2026-01-01T00:00:00Z');
const all = (cpu: number, read: number, receive: number) =>
  new Map<string, unknown>([
    ['cpu.time', BigInt(cpu)],
    ['vcpu.current', 2],
    ['balloon.available', 1000],
    ['balloon.usable', 400],
    ['block.count', 2],
    ['block.0.rd.bytes', read],
    ['block.1.rd.bytes', read],
    ['net.count', 1],
    ['net.0.rx.bytes', receive],
    ['net.0.tx.bytes', 0],
  ]);

test('two looks make a rate, one does not', () => {
  const meter = createUsageMeter();
  assert.equal(meter.current(), null);
  meter.add(all(0, 0, 0), 0, at);
  assert.equal(meter.current()?.cpuRatio, null);
  meter.add(all(10_000_000_000, 500, 2000), 10_000, at);
  const usage = meter.current();
  assert.equal(usage?.cpuRatio, 0.5);
  assert.equal(usage?.diskReadBytesPerSecond, 100);
  assert.equal(usage?.netReceiveBytesPerSecond, 200);
  assert.equal(usage?.memoryUsedBytes, 600 * 1024);
});

test('a look at the network alone keeps the other figures', () => {
  const meter = createUsageMeter();
  meter.add(all(0, 0, 0), 0, at);
  meter.add(all(10_000_000_000, 500, 0), 10_000, at);
  meter.add(
    new Map<string, unknown>([
      ['net.count', 1],
      ['net.0.rx.bytes', 5000],
      ['net.0.tx.bytes', 0],
    ]),
    15_000,
    at,
  );
  assert.equal(meter.current()?.cpuRatio, 0.5);
  assert.equal(meter.current()?.netReceiveBytesPerSecond, 1000);
});

test('counters that went back make no rate', () => {
  const meter = createUsageMeter();
  meter.add(all(10_000_000_000, 500, 500), 0, at);
  meter.add(all(1_000_000, 5, 5), 10_000, at);
  assert.equal(meter.current()?.cpuRatio, null);
  assert.equal(meter.current()?.netReceiveBytesPerSecond, null);
});

test('missing counters are unknown, not zero', () => {
  const meter = createUsageMeter();
  meter.add(new Map<string, unknown>([['cpu.time', 5]]), 0, at);
  meter.add(new Map<string, unknown>([['cpu.time', 6]]), 1000, at);
  assert.equal(meter.current()?.diskReadBytesPerSecond, null);
  assert.equal(meter.current()?.memoryUsedBytes, null);
  assert.equal(meter.current()?.netReceiveBytesPerSecond, null);
});
