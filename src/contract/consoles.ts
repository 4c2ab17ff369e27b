/** What the consoles share with their clients: error codes and the close codes of the WebSockets. */

import { defineErrors } from '#kernel/errors.ts';

export const consoleErrors = defineErrors({
  ticket_refused: {
    status: 403,
    title: 'The console ticket is not valid',
    hint: 'Ask for a new ticket (POST /vms/{id}/tickets); each opens one console within 30 seconds.',
  },
  no_screen: {
    status: 409,
    title: 'The VM has no screen that can be shown',
    hint: 'Use its serial console.',
  },
  no_serial: {
    status: 409,
    title: 'The VM has no serial console',
    hint: 'Use its screen.',
  },
  unknown_key: {
    status: 422,
    title: 'There is no such key',
    hint: 'Use the names in the message.',
  },
});

/** Why the server ended a console; beside the codes of RFC 6455. */
export const CONSOLE_CLOSE = {
  /** The session was revoked or ran out: sign in again. */
  sessionEnded: 4001,
  /** The guest stopped: wait for its start, then ask for a new ticket. */
  guestStopped: 4002,
  /** The client sent something that its console does not allow. */
  refused: 4003,
  /** The client took too long to read. */
  tooSlow: 4004,
  /** The console cannot be reached: try again with back-off. */
  unreachable: 4005,
} as const;
