/** What can be done with a rule, and the question before it goes. */

import { signal } from '@preact/signals';
import type { AlertRule } from '#contract/alerts.ts';
import { ConfirmDialog } from '../../components/dialog.tsx';
import type { MenuEntry } from '../../components/menu.tsx';
import { alertRules } from '../../state/alerts.ts';
import { api, can } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { navigate } from '../../state/router.ts';
import { alertsText } from '../../text-alerts.ts';
import { rulePath } from './alert-actions.tsx';

const words = alertsText.rules;

const removing = signal<AlertRule | null>(null);

export const mayChange = ({ project }: Pick<AlertRule, 'project'>): boolean =>
  can('alert.configure', project ?? undefined);

export function ruleMenu(rule: AlertRule): MenuEntry[] {
  const isMine = mayChange(rule);
  const isFixed = rule.origin === 'config' || !isMine;
  return [
    {
      label: isFixed ? words.show : words.edit,
      icon: isFixed ? 'list' : 'edit',
      run: () => navigate(rulePath(rule.id)),
    },
    ...(isFixed
      ? []
      : [
          {
            label: rule.enabled ? words.disable : words.enable,
            icon: 'power' as const,
            run: () => void change(rule, !rule.enabled),
          },
        ]),
    ...(isMine
      ? [
          {
            label: words.copy,
            icon: 'copy' as const,
            run: () => navigate(`/alerts/rules/new?of=${encodeURIComponent(rule.id)}`),
          },
        ]
      : []),
    ...(isFixed || rule.origin === 'default'
      ? []
      : [
          {
            label: rule.origin === 'user' ? words.remove : words.restore,
            icon: rule.origin === 'user' ? ('trash' as const) : ('reboot' as const),
            isDangerous: rule.origin === 'user',
            startsGroup: true,
            run: () => {
              removing.value = rule;
            },
          },
        ]),
  ];
}

async function change(rule: AlertRule, enabled: boolean): Promise<void> {
  try {
    await api('PATCH /rules/{id}', { params: { id: rule.id }, body: { enabled } });
    await alertRules.reload();
  } catch (error) {
    showProblem(error);
  }
}

/** The open question; once on each page that offers the actions. @param onRemoved after a rule of one's own is gone */
export function RuleDialogs({ onRemoved }: { readonly onRemoved?: () => void }) {
  const rule = removing.value;
  if (rule === null) return null;
  const isOwn = rule.origin === 'user';
  const remove = async () => {
    try {
      await api('DELETE /rules/{id}', { params: { id: rule.id } });
      await alertRules.reload();
      onRemoved?.();
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <ConfirmDialog
      title={isOwn ? words.removeTitle(rule.name) : words.restoreTitle(rule.name)}
      action={isOwn ? words.removeAction : words.restoreAction}
      kind={isOwn ? 'danger' : 'primary'}
      onClose={() => {
        removing.value = null;
      }}
      onConfirm={() => void remove()}
    >
      <p>{isOwn ? words.removeNote : words.restoreNote}</p>
    </ConfirmDialog>
  );
}
