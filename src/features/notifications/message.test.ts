/** What people read of a message. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noticeOf, resolved } from './fake-outside.ts';
import { factsOf, linesOf, linkOf, type Message, type ToldAlert, titleOf } from './message.ts';

const BEGAN = '2026-01-01T10:02:00Z';

const messageOf = (alerts: readonly ToldAlert[]): Message => ({
  key: 'key',
  thread: 'thread',
  kind: 'alert',
  severity: 'critical',
  title: titleOf(null, alerts),
  text: '',
  alerts,
  atMs: Date.parse(BEGAN) + 10 * 60_000,
  host: 'node1',
  origin: 'https://node1.example',
});
const down = (name: string, text = 'Start it again.'): ToldAlert => ({
  kind: 'firing',
  notice: noticeOf({ fingerprint: `fp-${name}`, entity: { kind: 'vm', name }, text }),
});
const over = ({ notice }: ToldAlert): ToldAlert => ({ kind: 'resolved', notice: { ...resolved(notice), text: '' } });

test('one alert is told once: the thing, since when, its value, what to do, and where to look', () => {
  const message = messageOf([down('web1')]);
  assert.equal(message.title, '[warning] web1 on node1: vm_down firing');
  assert.deepEqual(linesOf(message), [
    'web1: vm_down firing since 10:02 UTC, now crashed (warning)',
    'Start it again.',
  ]);
  assert.equal(linkOf(message), 'https://node1.example/alerts/fp-web1');
  assert.equal(Object.fromEntries(factsOf(message))['Condition'], 'vm_state != running');
  assert.equal(linkOf({ ...message, origin: 'http://127.0.0.1:8080' }), null);
});

test('what is over says so at the front, and how long it lasted', () => {
  const message = messageOf([over(down('web1'))]);
  assert.equal(message.title, '[resolved] web1 on node1: vm_down');
  assert.deepEqual(linesOf(message), ['web1: vm_down resolved 10:02–10:09 UTC (7 min), now crashed (warning)']);
});

test('many alerts are a list of ten, with the advice that they share below it', () => {
  const message = messageOf(Array.from({ length: 12 }, (_, n) => down(`db${n}`)));
  assert.equal(message.title, '[warning] 12 VMs on node1: vm_down firing');
  const lines = linesOf(message);
  assert.equal(lines.length, 12);
  assert.deepEqual(lines.slice(-3), [
    'db9: vm_down firing since 10:02 UTC, now crashed (warning)',
    'and 2 more',
    'Start it again.',
  ]);
  assert.equal(linkOf(message), 'https://node1.example/alerts');
  assert.deepEqual(factsOf(message), []);
});

test('advice of its own stands below its alert, and a title counts what is not alike', () => {
  const message = messageOf([down('web1'), down('web2', 'Look at its disk.'), over(down('web3'))]);
  assert.equal(message.title, '[warning] 3 VMs on node1: vm_down 2 firing, 1 resolved');
  assert.deepEqual(
    linesOf(message).map((line) => line.split(' ')[0]),
    ['web1:', 'Start', 'web2:', 'Look', 'web3:'],
  );
});

test('a host is not named twice, and things of another host are told with it', () => {
  const host = noticeOf({ entity: { kind: 'host', name: 'node1' } });
  const message = messageOf([{ kind: 'firing', notice: host }]);
  assert.equal(message.title, '[warning] node1: vm_down firing');
  assert.deepEqual(
    factsOf(message).filter(([, value]) => value === 'node1'),
    [['Host', 'node1']],
  );
  const elsewhere = messageOf([{ kind: 'firing', notice: noticeOf({ host: 'node2' }) }]);
  assert.match(linesOf(elsewhere)[0] ?? '', /^web1 on node2: /);
});
