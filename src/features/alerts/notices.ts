/** What this slice tells people. */

import type { NotificationsApi } from '#features/notifications/index.ts';

export type { AlertNotice } from '#features/notifications/index.ts';

/** The first two write into the caller's transaction: a transition and the message about it stand or fall together. */
export type Announcer = Pick<NotificationsApi, 'announce' | 'announceEvent' | 'acknowledge'>;
