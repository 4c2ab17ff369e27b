/** Console tickets: a secret that opens one WebSocket, once, soon, for the one who asked. They live in memory only;
 *  after a restart of the daemon clients ask again. */

import { createHash } from 'node:crypto';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newSecret } from '#kernel/ids.ts';
import type { Identity } from '#platform/feature.ts';

export type ConsoleKind = 'vnc' | 'serial';
export type ConsoleMode = 'control' | 'view';

/** What a ticket opens. */
export interface TicketScope {
  readonly vmId: string;
  readonly kind: ConsoleKind;
  readonly mode: ConsoleMode;
}

export interface Tickets {
  /** A new ticket for `identity`; the secret is kept as a hash only. */
  issue(identity: Identity, scope: TicketScope): { readonly ticket: string; readonly expiresAt: Date };
  /** Spends a ticket: whatever the outcome, it opens nothing more.
   *  @throws AppError `ticket_refused`, always with the same text: it tells nothing about what was wrong */
  redeem(identity: Identity, ticket: string, want: { readonly vmId: string; readonly kind: ConsoleKind }): TicketScope;
  /** Forgets what a session has not used. */
  dropSession(sessionId: string): void;
}

interface Entry extends TicketScope {
  readonly holder: string;
  readonly sessionId: string | null;
  readonly dueMs: number;
}

export const TICKET_LIFE_MS = 30_000;

/** More unused tickets than a person with many tabs needs; the oldest gives way. */
const MAX_PER_HOLDER = 64;

const hashOf = (ticket: string): string => createHash('sha256').update(ticket).digest('base64url');

/** Two sessions of one user are two holders. */
const holderOf = ({ sessionId, via, user }: Identity): string => JSON.stringify([sessionId, via, user]);

export function createTickets({ clock }: { readonly clock: Clock }): Tickets {
  /** By hash, oldest first: a Map keeps the order of insertion, and all live equally long. */
  const entries = new Map<string, Entry>();

  const dropExpired = () => {
    const now = clock.monotonicMs();
    for (const [hash, entry] of entries) {
      if (entry.dueMs > now) return;
      entries.delete(hash);
    }
  };

  return {
    issue(identity, scope) {
      dropExpired();
      const holder = holderOf(identity);
      const own = [...entries].filter(([, entry]) => entry.holder === holder);
      for (const [hash] of own.slice(0, Math.max(0, own.length - MAX_PER_HOLDER + 1))) entries.delete(hash);
      const ticket = newSecret();
      entries.set(hashOf(ticket), {
        vmId: scope.vmId,
        kind: scope.kind,
        mode: scope.mode,
        holder,
        sessionId: identity.sessionId,
        dueMs: clock.monotonicMs() + TICKET_LIFE_MS,
      });
      return { ticket, expiresAt: new Date(clock.now().getTime() + TICKET_LIFE_MS) };
    },
    redeem(identity, ticket, want) {
      const hash = hashOf(ticket);
      const entry = entries.get(hash);
      entries.delete(hash);
      const fits =
        entry !== undefined &&
        entry.dueMs > clock.monotonicMs() &&
        entry.holder === holderOf(identity) &&
        entry.vmId === want.vmId &&
        entry.kind === want.kind;
      if (!fits) throw new AppError('ticket_refused', { detail: 'This ticket does not open this console.' });
      return { vmId: entry.vmId, kind: entry.kind, mode: entry.mode };
    },
    dropSession(sessionId) {
      for (const [hash, entry] of entries) if (entry.sessionId === sessionId) entries.delete(hash);
    },
  };
}
