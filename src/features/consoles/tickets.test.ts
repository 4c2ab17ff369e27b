import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consoleErrors } from '#contract/consoles.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import type { Identity } from '#platform/feature.ts';
import { createTickets, TICKET_LIFE_MS } from './tickets.ts';

registerErrors(consoleErrors);

const alice: Identity = {
  userId: 'usr-alice',
  user: 'alice',
  via: 'session',
  method: 'link',
  sessionId: 'ses-1',
  tokenId: null,
  address: '192.0.2.1',
};
const scope = { vmId: 'vm-1', kind: 'vnc', mode: 'view' } as const;
const isRefused = (error: unknown) =>
  error instanceof AppError && error.code === 'ticket_refused' && error.status === 403;

test('a ticket opens its console once', () => {
  const tickets = createTickets({ clock: new TestClock() });
  const { ticket } = tickets.issue(alice, scope);
  assert.deepEqual(tickets.redeem(alice, ticket, scope), scope);
  assert.throws(() => tickets.redeem(alice, ticket, scope), isRefused);
});

test('a ticket is void after 30 seconds, whatever the wall clock says', async () => {
  const clock = new TestClock();
  const tickets = createTickets({ clock });
  const early = tickets.issue(alice, scope);
  await clock.advance(TICKET_LIFE_MS - 1);
  clock.jumpWall(-3_600_000);
  tickets.redeem(alice, early.ticket, scope);
  const late = tickets.issue(alice, scope);
  await clock.advance(TICKET_LIFE_MS);
  assert.throws(() => tickets.redeem(alice, late.ticket, scope), isRefused);
});

test('a ticket opens no other VM, no other kind, and nothing for anybody else', () => {
  const tickets = createTickets({ clock: new TestClock() });
  const attempts: [Identity, { vmId: string; kind: 'vnc' | 'serial' }][] = [
    [alice, { vmId: 'vm-2', kind: 'vnc' }],
    [alice, { vmId: 'vm-1', kind: 'serial' }],
    [{ ...alice, sessionId: 'ses-2' }, scope],
    [{ ...alice, user: 'mallory' }, scope],
    [{ ...alice, via: 'admin_socket', sessionId: null }, scope],
  ];
  for (const [identity, want] of attempts) {
    const { ticket } = tickets.issue(alice, scope);
    assert.throws(() => tickets.redeem(identity, ticket, want), isRefused);
    assert.throws(() => tickets.redeem(alice, ticket, scope), isRefused, 'a failed attempt spends it');
  }
});

test('a revoked session leaves no ticket behind', () => {
  const tickets = createTickets({ clock: new TestClock() });
  const { ticket } = tickets.issue(alice, scope);
  tickets.dropSession('ses-1');
  assert.throws(() => tickets.redeem(alice, ticket, scope), isRefused);
});

test('a flood of tickets pushes out only the oldest of the same session', () => {
  const tickets = createTickets({ clock: new TestClock() });
  const bob: Identity = { ...alice, user: 'bob', sessionId: 'ses-9' };
  const kept = tickets.issue(bob, scope);
  const first = tickets.issue(alice, scope);
  let last = first;
  for (let count = 0; count < 1000; count += 1) last = tickets.issue(alice, scope);
  assert.throws(() => tickets.redeem(alice, first.ticket, scope), isRefused);
  tickets.redeem(alice, last.ticket, scope);
  tickets.redeem(bob, kept.ticket, scope);
});
