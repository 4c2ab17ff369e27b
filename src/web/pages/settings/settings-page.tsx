/** Appearance of this browser, who is signed in, and what runs here. */

import { useSignal } from '@preact/signals';
import type { Session } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Since, TimeAgo } from '../../components/figures.tsx';
import { Choice } from '../../components/form.tsx';
import { Card, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api, can, session } from '../../state/api.ts';
import { sessions, systemStatus } from '../../state/library.ts';
import { showProblem } from '../../state/operations.ts';
import { THEMES, theme } from '../../state/theme.ts';
import { text } from '../../text.ts';
import { browserName } from './browser-name.ts';
import { PasskeysCard } from './passkeys-card.tsx';

const words = text.settings;

export function SettingsPage() {
  return (
    <>
      <PageHead title={text.pages.settings} />
      <div class="stack settings">
        <Card title={words.appearance}>
          <Choice
            label={words.appearance}
            value={theme.value}
            onChange={(value) => (theme.value = value)}
            options={THEMES.map((value) => ({ value, label: text.themes[value] }))}
          />
        </Card>
        <PasskeysCard />
        {can('access.manage') && <Sessions />}
        {can('host.read') && (
          <Card title={words.about}>
            <Loaded resource={systemStatus}>
              {(status) => (
                <Facts
                  items={[
                    [words.version, <code key="v">{status.version}</code>],
                    [words.host, status.host],
                    [
                      words.address,
                      <a key="a" href={status.address}>
                        {status.address}
                      </a>,
                    ],
                    [
                      words.fingerprint,
                      <span key="f" class="with-copy">
                        <code>{status.certificateFingerprint}</code>
                        <CopyButton value={status.certificateFingerprint} />
                      </span>,
                    ],
                    [words.runningSince, <Since key="s" iso={status.startedAt} />],
                    ['libvirt', <code key="l">{status.libvirt.uri}</code>],
                    [
                      words.api,
                      <a key="o" href="/api/v1/openapi.json" target="_blank" rel="noopener">
                        {words.apiLink}
                      </a>,
                    ],
                  ]}
                />
              )}
            </Loaded>
          </Card>
        )}
      </div>
    </>
  );
}

function Sessions() {
  const link = useSignal<{ readonly url: string; readonly expiresAt: string; readonly fingerprint: string } | null>(
    null,
  );
  const end = async (item: Session) => {
    try {
      await api('DELETE /auth/sessions/{id}', { params: { id: item.id } });
      if (item.isCurrent) session.value = { kind: 'signed_out' };
      else await sessions.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  const invite = async (user: 'admin' | 'operator') => {
    try {
      link.value = await api('POST /auth/links', { body: { user } });
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <Card
      class="is-flush"
      title={words.sessions}
      aside={
        <>
          <Button isSmall icon="key" onClick={() => void invite('admin')}>
            {words.inviteAdmin}
          </Button>
          <Button isSmall icon="key" onClick={() => void invite('operator')}>
            {words.inviteOperator}
          </Button>
        </>
      }
    >
      <Loaded resource={sessions}>
        {(items) => (
          <StackTable
            rows={items}
            keyOf={(item) => item.id}
            columns={[
              {
                head: words.user,
                kind: 'title',
                cell: (item) => (
                  <>
                    {item.user} {item.isCurrent && <Badge tone="accent">{words.current}</Badge>}
                  </>
                ),
              },
              { head: words.method, isSelfEvident: true, cell: (item) => text.signInMethods[item.method] },
              { head: words.from, class: 'mono', isSelfEvident: true, cell: (item) => item.address },
              {
                head: words.browser,
                isSelfEvident: true,
                cell: (item) => (
                  <span title={item.userAgent}>{browserName(item.userAgent) ?? words.unknownBrowser}</span>
                ),
              },
              { head: words.lastSeen, cell: (item) => <TimeAgo iso={item.lastSeenAt} /> },
              { head: words.expires, cell: (item) => <TimeAgo iso={item.expiresAt} /> },
              {
                head: text.vms.actions,
                kind: 'actions',
                cell: (item) => (
                  <Button isSmall kind="quiet" onClick={() => void end(item)}>
                    {item.isCurrent ? text.frame.signOut : words.end}
                  </Button>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      {link.value && (
        <Dialog title={words.linkTitle} onClose={() => (link.value = null)}>
          <p>
            {words.linkNote} <TimeAgo iso={link.value.expiresAt} />.
          </p>
          <p class="command">
            <code class="breaks">{link.value.url}</code>
            <CopyButton value={link.value.url} />
          </p>
          <p class="muted small">
            {words.fingerprint}: <code>{link.value.fingerprint}</code>
          </p>
        </Dialog>
      )}
    </Card>
  );
}
