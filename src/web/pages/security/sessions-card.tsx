/** Who is signed in, with the way to end it. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Session } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { isSearched } from '../../components/filters.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { type Column, StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api, can, session } from '../../state/api.ts';
import { sessions } from '../../state/library.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { browserName } from './browser-name.ts';

const words = text.access.sessions;

const wordsOf = (item: Session): string =>
  `${item.user} ${browserName(item.userAgent) ?? ''} ${text.signInMethods[item.method]} ${item.address}`;

/** @param isOwn those of the signed-in user only */
export function SessionsCard({ isOwn = false }: { readonly isOwn?: boolean }) {
  const ending = useSignal<Session | null>(null);
  // No event tells of a session that begins or ends: each look is a fresh one.
  useEffect(() => void sessions.reload(), []);
  const state = session.value;
  const userId = state.kind === 'signed_in' ? state.identity.userId : null;
  const end = async (item: Session) => {
    try {
      await api('DELETE /auth/sessions/{id}', { params: { id: item.id } });
      if (item.isCurrent) session.value = { kind: 'signed_out' };
      else await sessions.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  const user: Column<Session> = {
    head: words.user,
    kind: 'title',
    cell: (item) => (
      <>
        {item.user} {item.isCurrent && <Badge tone="accent">{words.current}</Badge>}
      </>
    ),
  };
  const browser: Column<Session> = {
    head: words.browser,
    ...(isOwn ? { kind: 'title' as const } : { isSelfEvident: true }),
    cell: (item) => (
      <span title={item.userAgent}>
        {browserName(item.userAgent) ?? words.unknownBrowser}{' '}
        {isOwn && item.isCurrent && <Badge tone="accent">{words.current}</Badge>}
      </span>
    ),
  };
  // Kept here: the dialog closes before it acts.
  const asked = ending.value;
  return (
    <Card class="is-flush" title={isOwn ? words.title : words.allTitle}>
      <Loaded resource={sessions}>
        {(items) => (
          <StackTable
            rows={items.filter((item) => (isOwn ? item.userId === userId : isSearched(wordsOf(item))))}
            keyOf={(item) => item.id}
            columns={[
              ...(isOwn ? [] : [user]),
              browser,
              { head: words.method, isSelfEvident: true, cell: (item) => text.signInMethods[item.method] },
              { head: words.from, class: 'mono', isSelfEvident: true, cell: (item) => item.address },
              { head: words.lastSeen, cell: (item) => <TimeAgo iso={item.lastSeenAt} /> },
              { head: words.expires, cell: (item) => <TimeAgo iso={item.expiresAt} /> },
              {
                head: words.actions,
                kind: 'actions',
                cell: (item) =>
                  (item.userId === userId || can('access.manage')) && (
                    <Button
                      isSmall
                      kind="quiet"
                      aria-label={item.isCurrent ? text.frame.signOut : words.endFor(item.user)}
                      onClick={() => {
                        if (item.isCurrent) void end(item);
                        else ending.value = item;
                      }}
                    >
                      {item.isCurrent ? text.frame.signOut : words.end}
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
      {asked && (
        <ConfirmDialog
          title={words.confirmTitle(asked.user)}
          action={words.confirmAction}
          onClose={() => (ending.value = null)}
          onConfirm={() => void end(asked)}
        >
          <p>{words.confirm}</p>
        </ConfirmDialog>
      )}
    </Card>
  );
}
