import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import type { Identity } from '#platform/feature.ts';
import { createEventStream } from './event-stream.ts';

const anybody = { sessionId: null } as Identity;
const textOf = (stream: Readable): string => String(stream.read() ?? '');

test('whoever loses the line before the first event goes on from where it began; another life of the daemon is read anew', (t) => {
  const events = createEventBus<ApiEvents>((error) => assert.ifError(error));
  const streamOf = (epoch: string) => {
    const made = createEventStream(
      events,
      {
        decide: () => ({ allow: true }),
        holds: () => true,
        reach: () => null,
        sessions: { onSessionEnded: () => () => undefined },
      } as unknown as Parameters<typeof createEventStream>[1],
      () => ['vm.read', null] as never,
      epoch,
      () => undefined,
    );
    t.after(() => made.close());
    return made;
  };
  const change = (what: 'mode' | 'pause') => events.emit('healing.changed', { what });
  const { signal } = new AbortController();
  const first = streamOf('a');
  change('mode');
  const [, id = assert.fail('it begins without an id')] =
    /^id: (.+)$/m.exec(textOf(first.open(anybody, null, signal))) ?? [];
  change('pause');
  const resumed = textOf(first.open(anybody, id, signal));
  assert.match(resumed, /"what":"pause"/);
  assert.doesNotMatch(resumed, /event: reset|"what":"mode"/);
  assert.match(textOf(streamOf('b').open(anybody, id, signal)), /event: reset/);
});
