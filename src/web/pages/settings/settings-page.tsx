/** Appearance of this browser, and what runs here. */

import { CopyButton } from '../../components/copy-button.tsx';
import { Since } from '../../components/figures.tsx';
import { Choice } from '../../components/form.tsx';
import { Card, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { can } from '../../state/api.ts';
import { systemStatus } from '../../state/library.ts';
import { THEMES, theme } from '../../state/theme.ts';
import { text } from '../../text.ts';
import { HealingCard } from './healing-card.tsx';
import { SettingsTabs } from './settings-tabs.tsx';

const words = text.settings;

export function SettingsPage() {
  return (
    <>
      <PageHead title={text.pages.settings} />
      <SettingsTabs current="general" />
      <div class="stack settings">
        <Card title={words.appearance}>
          <Choice
            label={words.appearance}
            value={theme.value}
            onChange={(value) => (theme.value = value)}
            options={THEMES.map((value) => ({ value, label: text.themes[value] }))}
          />
        </Card>
        {can('vm.read') && <HealingCard />}
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
