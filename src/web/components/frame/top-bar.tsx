/** Search, what needs a person, what runs, theme and the user. */

import { useEffect } from 'preact/hooks';
import { BUILT_IN_ROLES } from '#contract/permissions.ts';
import { alerts, firingAlerts } from '../../state/alerts.ts';
import { api, can, session } from '../../state/api.ts';
import {
  isTrayOpen,
  openOperations,
  operations,
  operationsNeedingAttention,
  showProblem,
} from '../../state/operations.ts';
import { overview } from '../../state/overview.ts';
import { navigate } from '../../state/router.ts';
import { isHelpOpen, isSearchOpen } from '../../state/shortcuts.ts';
import { isDark, THEMES, theme } from '../../state/theme.ts';
import { text } from '../../text.ts';
import { severityTone } from '../alert-marks.tsx';
import { IconButton } from '../button.tsx';
import { Icon, Logo } from '../icon.tsx';
import { Menu } from '../menu.tsx';
import { Glyph } from '../state-mark.tsx';

export function TopBar() {
  useEffect(() => {
    operations.ensure();
    overview.ensure();
    if (can('alert.read')) alerts.ensure();
  }, []);
  const problems = overview.data.value?.problems.length ?? 0;
  const open = openOperations.value.length;
  const waiting = operationsNeedingAttention.value.length;
  const identity = session.value.kind === 'signed_in' ? session.value.identity : null;
  return (
    <header class="top">
      <a class="top-brand" href="/" aria-label={text.frame.home}>
        <Logo />
      </a>
      <button type="button" class="search-button" onClick={() => (isSearchOpen.value = true)}>
        <Icon name="search" />
        <span>{text.search.placeholder}</span>
        <kbd>/</kbd>
      </button>
      <div class="top-right">
        {problems > 0 && (
          <a class="top-chip tone-warn" href="/" title={text.frame.problems(problems)}>
            <Glyph tone="warn" shape="triangle" />
            {problems}
            <span class="visually-hidden">{text.frame.problems(problems)}</span>
          </a>
        )}
        <AlertChip />
        <button
          type="button"
          class={`top-chip ${open > 0 ? 'is-working' : ''}`}
          aria-expanded={isTrayOpen.value}
          aria-label={text.frame.operations(open, waiting)}
          title={text.frame.operations(open, waiting)}
          onClick={() => (isTrayOpen.value = !isTrayOpen.value)}
        >
          <Icon name="operations" />
          {open > 0 && open}
          {waiting > 0 && <Glyph tone="warn" shape="triangle" />}
        </button>
        <IconButton icon="help" class="wide-only" label={text.help.open} onClick={() => (isHelpOpen.value = true)} />
        <Menu
          label={text.frame.theme(text.themes[theme.value])}
          trigger={<Icon name={theme.value === 'system' ? 'system' : isDark.value ? 'moon' : 'sun'} />}
          entries={THEMES.map((value) => ({
            label: text.themes[value],
            icon: value === 'system' ? 'system' : value === 'dark' ? 'moon' : 'sun',
            run: () => (theme.value = value),
          }))}
        />
        {identity && (
          <Menu
            label={text.frame.account(identity.user, identity.roles.map(roleTitle).join(', '))}
            trigger={<Icon name="user" />}
            entries={[
              {
                label: text.pages.account,
                icon: 'user',
                run: () => navigate('/settings/security'),
              },
              { label: text.frame.settings(identity.user), icon: 'settings', run: () => navigate('/settings') },
              { label: text.frame.signOut, icon: 'power', startsGroup: true, run: () => void signOut() },
            ]}
          />
        )}
      </div>
    </header>
  );
}

/** How many alerts fire, in the colour of the worst that nobody looks after. */
function AlertChip() {
  const firing = firingAlerts.value;
  if (firing.length === 0) return null;
  const open = firing.filter(({ acknowledged }) => acknowledged === null);
  const worst = SEVERITIES.find((severity) => open.some((alert) => alert.severity === severity));
  const label = text.frame.alerts(firing.length, firing.length - open.length);
  return (
    <a class={`top-chip tone-${worst ? severityTone(worst) : 'unknown'}`} href="/alerts" title={label}>
      <Icon name="alert" />
      {firing.length}
      <span class="visually-hidden">{label}</span>
    </a>
  );
}

const SEVERITIES = ['critical', 'warning', 'info'] as const;

/** Built-in roles by their title, one's own by their name. */
const roleTitle = (name: string): string =>
  Object.entries(BUILT_IN_ROLES)
    .find(([id]) => id === name)?.[1]
    .title.toLowerCase() ?? name;

async function signOut(): Promise<void> {
  try {
    await api('POST /auth/logout');
    session.value = { kind: 'signed_out' };
  } catch (error) {
    showProblem(error);
  }
}
