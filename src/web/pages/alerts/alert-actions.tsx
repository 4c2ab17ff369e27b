/** What can be done about an alert, from its row and from its page; with the dialogs that this needs. */

import { signal, useSignal } from '@preact/signals';
import type { Alert } from '#contract/alerts.ts';
import { Field } from '../../components/form.tsx';
import type { MenuEntry } from '../../components/menu.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { isFiring, putAlert } from '../../state/alerts.ts';
import { api, can, fieldProblem } from '../../state/api.ts';
import { navigate } from '../../state/router.ts';
import { useRequest } from '../../state/use-request.ts';
import { alertsText } from '../../text-alerts.ts';
import { SilenceDialog } from './silence-dialog.tsx';

const words = alertsText.actions;

const open = signal<{ readonly what: 'acknowledge' | 'silence'; readonly alert: Alert } | null>(null);

export const alertTitle = ({ entity, rule }: Pick<Alert, 'entity' | 'rule'>): string => `${entity.name}: ${rule.name}`;

const mayAct = ({ project }: Alert): boolean => can('alert.ack', project ?? undefined);

export const canAcknowledge = (alert: Alert): boolean =>
  isFiring(alert) && alert.acknowledged === null && mayAct(alert);

export function acknowledge(alert: Alert): void {
  open.value = { what: 'acknowledge', alert };
}

export function silence(alert: Alert): void {
  open.value = { what: 'silence', alert };
}

export function alertMenu(alert: Alert): MenuEntry[] {
  return [
    ...(mayAct(alert)
      ? [
          {
            label: words.acknowledge,
            icon: 'check' as const,
            isDisabled: !canAcknowledge(alert),
            run: () => acknowledge(alert),
          },
          { label: words.silence, icon: 'pause' as const, run: () => silence(alert) },
        ]
      : []),
    ...(alert.vmId === null
      ? []
      : [{ label: words.showVm, icon: 'vm' as const, run: () => navigate(`/vms/${alert.vmId}`) }]),
    ...(alert.rule.condition === null
      ? []
      : [{ label: words.showRule, icon: 'list' as const, run: () => navigate(rulePath(alert.rule.id)) }]),
  ];
}

export const rulePath = (id: string): string => `/alerts/rules/${encodeURIComponent(id)}`;
export const alertPath = (id: string): string => `/alerts/active/${encodeURIComponent(id)}`;

/** The open dialog; once on each page that offers the actions. */
export function AlertDialogs() {
  const close = () => {
    open.value = null;
  };
  const { what, alert } = open.value ?? {};
  if (alert === undefined) return null;
  if (what === 'silence') return <SilenceDialog of={alert} onClose={close} />;
  return <AcknowledgeDialog alert={alert} onClose={close} />;
}

function AcknowledgeDialog({ alert, onClose }: { readonly alert: Alert; readonly onClose: () => void }) {
  const ask = alertsText.acknowledge;
  const note = useSignal('');
  const request = useRequest();
  return (
    <SaveDialog
      title={ask.title(alertTitle(alert))}
      action={ask.action}
      request={request}
      lead={<p class="muted">{ask.effect}</p>}
      onSave={async () => {
        const text = note.value.trim();
        putAlert(
          await api('POST /alerts/{id}/acknowledge', {
            params: { id: alert.id },
            body: text === '' ? {} : { note: text },
          }),
        );
      }}
      onClose={onClose}
    >
      <Field label={ask.note} isOptional hint={ask.noteHint} problem={fieldProblem(request.problem.value, 'note')}>
        {(field) => (
          <input
            {...field}
            autocomplete="off"
            maxLength={500}
            value={note.value}
            onInput={(event) => (note.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </SaveDialog>
  );
}
