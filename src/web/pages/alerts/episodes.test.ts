import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firingSpans, rangeAround } from './episodes.ts';

const at = (minute: number) => new Date(minute * 60_000).toISOString();
const event = (alertId: string, kind: 'firing' | 'resolved' | 'acknowledged', minute: number) => ({
  alertId,
  kind,
  at: at(minute),
});

test('spans begin when it fires and end when it ends; what still fires reaches to now', () => {
  const events = [
    event('a', 'firing', 30),
    event('a', 'resolved', 20),
    event('a', 'acknowledged', 12),
    event('a', 'firing', 10),
    event('b', 'resolved', 5),
  ];
  assert.deepEqual(firingSpans(events, 40 * 60_000), [
    { fromMs: 600_000, toMs: 1_200_000 },
    { fromMs: 1_800_000, toMs: 2_400_000 },
  ]);
});

test('around an episode there is enough to see how it came, and no time that has not been', () => {
  const minutes = (count: number) => count * 60_000;
  assert.deepEqual(rangeAround(minutes(100), null, minutes(101)), { fromMs: minutes(90), toMs: minutes(101) });
  assert.deepEqual(rangeAround(minutes(100), minutes(130), minutes(1000)), { fromMs: minutes(40), toMs: minutes(190) });
  assert.deepEqual(rangeAround(minutes(100), minutes(130), minutes(135)).toMs, minutes(135));
});
