/** API tokens: one's own, or everybody's for those who see access. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Token } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { isSearched } from '../../components/filters.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { AccountMark } from '../../components/state-mark.tsx';
import { tokens } from '../../state/access.ts';
import { api, can, canEverywhere, session } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { projects } from '../../state/projects.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { scopeName } from './scope-name.ts';
import { TokenDialog } from './token-dialog.tsx';

const words = text.access.tokens;

/** @param isAll those of everybody the signed-in user may see */
export function TokensCard({ isAll = false }: { readonly isAll?: boolean }) {
  const isCreating = useSignal(false);
  const revoking = useSignal<Token | null>(null);
  // No event tells of a token: each look is a fresh one.
  useEffect(() => void tokens.reload(), []);
  const state = session.value;
  const identity = state.kind === 'signed_in' ? state.identity : null;
  const userId = identity?.userId ?? '';
  const mayCreate = !isAll && identity?.via === 'session' && identity.anywhere.length > 1;
  const revoke = async (token: Token) => {
    try {
      await api('DELETE /tokens/{id}', { params: { id: token.id } });
      await tokens.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  const create = () => {
    if (can('project.read')) projects.ensure();
    if (can('vm.read')) vms.ensure();
    isCreating.value = true;
  };
  const button = mayCreate && (
    <Button isSmall icon="plus" onClick={create}>
      {words.create}
    </Button>
  );
  // Kept here: the dialog closes before it acts.
  const asked = revoking.value;
  return (
    <Card class="is-flush" title={words.title} aside={button}>
      <Loaded resource={tokens}>
        {(all) => {
          const known = isAll ? all : all.filter((token) => token.userId === userId);
          const shown = isAll ? known.filter((token) => isSearched(`${token.name} ${token.user}`)) : known;
          if (shown.length === 0 && known.length > 0) return <p class="muted card-note">{text.access.filtered}</p>;
          if (shown.length === 0)
            return (
              <EmptyState icon="key" title={words.none}>
                {words.noneNote}
              </EmptyState>
            );
          return (
            <StackTable
              rows={shown}
              keyOf={(token) => token.id}
              columns={[
                { head: words.name, kind: 'title', class: 'breaks', cell: (token) => token.name },
                ...(isAll ? [{ head: words.owner, cell: (token: Token) => token.user }] : []),
                { head: words.state, isSelfEvident: true, cell: (token) => <AccountMark state={token.state} /> },
                {
                  head: words.may,
                  cell: (token) => (
                    <span title={token.permissions.join(', ')}>
                      {text.access.account.permissions(token.permissions.length)}
                    </span>
                  ),
                },
                { head: words.on, class: 'breaks', cell: (token) => scopeName(token.scope) ?? words.wherever },
                { head: words.expires, cell: (token) => <TimeAgo iso={token.expiresAt} /> },
                {
                  head: words.lastUsed,
                  cell: (token) => (token.lastUsedAt ? <TimeAgo iso={token.lastUsedAt} /> : text.access.never),
                },
                {
                  head: text.access.sessions.actions,
                  kind: 'actions',
                  cell: (token) =>
                    (token.userId === userId || canEverywhere('access.manage')) && (
                      <Button
                        isSmall
                        kind="quiet"
                        aria-label={words.revokeFor(token.name)}
                        onClick={() => (revoking.value = token)}
                      >
                        {words.revoke}
                      </Button>
                    ),
                },
              ]}
            />
          );
        }}
      </Loaded>
      {isCreating.value && <TokenDialog onClose={() => (isCreating.value = false)} />}
      {asked && (
        <ConfirmDialog
          title={words.revokeTitle(asked.name)}
          action={words.revokeAction}
          onClose={() => (revoking.value = null)}
          onConfirm={() => void revoke(asked)}
        >
          <p>{words.revokeNote}</p>
        </ConfirmDialog>
      )}
    </Card>
  );
}
