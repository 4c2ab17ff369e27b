import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPlaces } from './places.ts';

const never = new AbortController().signal;

test('as many as there are places run, the others wait in the order of their coming', async () => {
  const places = createPlaces(2);
  const order: string[] = [];
  let waits = 0;
  const take = async (name: string) => {
    const place = await places.take(never, () => {
      waits += 1;
    });
    order.push(name);
    return place;
  };
  const [first] = await Promise.all([take('a'), take('b')]);
  const third = take('c');
  const fourth = take('d');
  await new Promise(setImmediate);
  assert.deepEqual([order, waits], [['a', 'b'], 2]);
  first?.release();
  first?.release();
  await third;
  await new Promise(setImmediate);
  assert.deepEqual(order, ['a', 'b', 'c']);
  (await third).release();
  await fourth;
  assert.deepEqual(order, ['a', 'b', 'c', 'd']);
});

test('who gives up while waiting takes no place', async () => {
  const places = createPlaces(1);
  const held = await places.take(never, () => undefined);
  const leaving = new AbortController();
  const waiting = places.take(leaving.signal, () => undefined);
  leaving.abort(new Error('left'));
  await assert.rejects(waiting, /left/);
  held.release();
  (await places.take(never, () => assert.fail('waited'))).release();
  await assert.rejects(
    places.take(AbortSignal.abort(new Error('gone')), () => undefined),
    /gone/,
  );
});
