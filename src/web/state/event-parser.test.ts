/** The event stream must survive any tearing of the text by the network. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEventParser, type StreamEvent } from './event-parser.ts';

/** Events and ids in the order in which they were told. */
function parse(pieces: readonly string[]): (StreamEvent | string)[] {
  const events: (StreamEvent | string)[] = [];
  const feed = createEventParser(
    (event) => events.push(event),
    (id) => events.push(id),
  );
  for (const piece of pieces) feed(piece);
  return events;
}

test('an event has its name, id and data, and comments are skipped', () => {
  assert.deepEqual(parse([': hello\n\nevent: vm.changed\nid: 7\ndata: {"a":1}\n\n']), [
    '7',
    { name: 'vm.changed', data: '{"a":1}' },
  ]);
});

test('several data lines become one text, and CRLF is taken like LF', () => {
  assert.deepEqual(parse(['data: a\r\ndata: b\r\n\r\n']), [{ name: 'message', data: 'a\nb' }]);
});

test('an id without an event is told too', () => {
  assert.deepEqual(parse(['retry: 2000\n\nid: x-0\n\nid: x-1\ndata: 1\n\n']), [
    'x-0',
    'x-1',
    { name: 'message', data: '1' },
  ]);
});

test('wherever the text is torn, the same events come out', () => {
  const whole = 'event: a\nid: 1\ndata: {"x":"y: z"}\n\n: ping\n\nevent: b\nid: 2\ndata: 2\n\n';
  const expected = parse([whole]);
  fc.assert(
    fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
      assert.deepEqual(parse(places.slice(1).map((end, index) => whole.slice(places[index], end))), expected);
    }),
  );
});
