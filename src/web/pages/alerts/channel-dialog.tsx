/** Makes and edits a channel: the fields are those that its kind takes. Secrets can be given, never read. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Answer } from '#contract/api.ts';
import type { Problem } from '#contract/common.ts';
import type { Channel, ChannelKind } from '#contract/notifications.ts';
import { Field } from '../../components/form.tsx';
import { Loaded } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { NameField, SaveDialog } from '../../components/save-dialog.tsx';
import { channelKinds, channels } from '../../state/alerts.ts';
import { api, can, canEverywhere, fieldProblem } from '../../state/api.ts';
import { areSeveralProjects, projects } from '../../state/projects.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { alertsText } from '../../text-alerts.ts';
import { fieldTitle, isAdvanced, settingText, settingValue } from './channel-fields.ts';

const words = alertsText.channels;

type KindFields = Answer<'GET /channel-kinds'>['items'][number];
type ChannelField = KindFields['fields'][number];
type Texts = Readonly<Record<string, string>>;

const TLS = ['auto', 'implicit', 'starttls', 'none'] as const;

/** @param channel null = a new one */
export function ChannelDialog({
  channel,
  onClose,
}: {
  readonly channel: Channel | null;
  readonly onClose: () => void;
}) {
  const kind = useSignal<ChannelKind>(channel?.kind ?? 'email');
  const name = useSignal(channel?.name ?? '');
  const title = useSignal(channel?.title ?? '');
  const project = useSignal(channel?.project ?? '');
  const settings = useSignal<Texts>(
    Object.fromEntries(Object.entries(channel?.settings ?? {}).map(([field, value]) => [field, settingText(value)])),
  );
  const secrets = useSignal<Texts>({});
  const request = useRequest();
  useEffect(() => channelKinds.ensure(), []);
  const save = async () => {
    const fields = channelKinds.data.value?.find((one) => one.kind === kind.value)?.fields ?? [];
    const before: Readonly<Record<string, unknown>> = channel?.settings ?? {};
    const given = fields
      .filter(({ isSecret }) => !isSecret)
      .map((field) => [field.name, settingValue(field.name, settings.value[field.name] ?? '')] as const)
      // What is usual need not be said; what was kept and is emptied must be.
      .filter(([field, value]) => value !== null || (before[field] ?? null) !== null);
    const kept = fields.flatMap((field) => {
      const secret = field.isSecret ? (secrets.value[field.name] ?? '').trim() : '';
      return secret === '' ? [] : [[field.name, secret] as const];
    });
    const body = {
      name: name.value.trim(),
      title: title.value.trim() || null,
      settings: Object.fromEntries(given),
      secrets: Object.fromEntries(kept),
    };
    const saved =
      channel === null
        ? await api('POST /channels', {
            body: { ...body, kind: kind.value, ...(project.value === '' ? {} : { project: project.value }) },
          })
        : await api('PATCH /channels/{id}', { params: { id: channel.id }, body });
    await channels.reload();
    showToast({ kind: 'good', title: words.saved(saved.name), detail: words.sendTestNow });
  };
  const problem = request.problem.value;
  return (
    <SaveDialog
      title={channel === null ? words.dialogTitle : words.editTitle(channel.name)}
      action={channel === null ? words.createAction : words.save}
      request={request}
      onSave={save}
      onClose={onClose}
    >
      <Loaded resource={channelKinds} lines={5}>
        {(kinds) => (
          <>
            {channel === null && (
              <Field label={words.kind}>
                {(field) => (
                  <select
                    {...field}
                    value={kind.value}
                    onChange={(event) => {
                      const next = kinds.find((one) => one.kind === event.currentTarget.value);
                      if (next) kind.value = next.kind;
                    }}
                  >
                    {kinds.map((one) => (
                      <option key={one.kind} value={one.kind}>
                        {one.title}
                      </option>
                    ))}
                  </select>
                )}
              </Field>
            )}
            <NameField label={words.name} hint={words.nameHint} problem={fieldProblem(problem, 'name')} value={name} />
            <KindForm
              key={kind.value}
              fields={kinds.find((one) => one.kind === kind.value)?.fields ?? []}
              settings={settings.value}
              secrets={secrets.value}
              kept={channel?.secretNames ?? []}
              problem={problem}
              onSetting={(field, value) => {
                settings.value = { ...settings.value, [field]: value };
              }}
              onSecret={(field, value) => {
                secrets.value = { ...secrets.value, [field]: value };
              }}
            />
            {channel === null && (areSeveralProjects.value || !canEverywhere('alert.configure')) && (
              <Field label={words.project} problem={fieldProblem(problem, 'project')}>
                {(field) => (
                  <select
                    {...field}
                    value={project.value}
                    onChange={(event) => (project.value = event.currentTarget.value)}
                  >
                    <option value="">{canEverywhere('alert.configure') ? words.projectAll : '–'}</option>
                    {projects.data.value
                      ?.filter(({ id }) => can('alert.configure', id))
                      .map(({ id, name: label }) => (
                        <option key={id} value={id}>
                          {label}
                        </option>
                      ))}
                  </select>
                )}
              </Field>
            )}
            <Field label={words.titleField} isOptional hint={words.titleHint} problem={fieldProblem(problem, 'title')}>
              {(field) => (
                <input
                  {...field}
                  autocomplete="off"
                  value={title.value}
                  onInput={(event) => (title.value = event.currentTarget.value)}
                />
              )}
            </Field>
          </>
        )}
      </Loaded>
    </SaveDialog>
  );
}

function KindForm({ fields, ...rest }: { readonly fields: readonly ChannelField[] } & Omit<FieldProps, 'field'>) {
  const plain = fields.filter(({ name, isRequired }) => !isAdvanced(name, isRequired));
  const advanced = fields.filter(({ name, isRequired }) => isAdvanced(name, isRequired));
  return (
    <>
      {plain.map((field) => (
        <KindField key={field.name} field={field} {...rest} />
      ))}
      {advanced.length > 0 && (
        <details class="more">
          <summary>{words.advanced}</summary>
          <div class="form">
            {advanced.map((field) => (
              <KindField key={field.name} field={field} {...rest} />
            ))}
          </div>
        </details>
      )}
    </>
  );
}

interface FieldProps {
  readonly field: ChannelField;
  readonly settings: Texts;
  readonly secrets: Texts;
  /** Names of secrets that the daemon holds. */
  readonly kept: readonly string[];
  readonly problem: Problem | null;
  readonly onSetting: (name: string, value: string) => void;
  readonly onSecret: (name: string, value: string) => void;
}

function KindField({ field, settings, secrets, kept, problem, onSetting, onSecret }: FieldProps) {
  const { name, isSecret, isRequired, description } = field;
  const part = isSecret ? 'secrets' : 'settings';
  const isKept = isSecret && kept.includes(name);
  const hint = [
    sentence(description),
    name === 'to' ? words.toHint : '',
    isKept ? words.kept : isSecret ? words.secretHint : '',
  ]
    .filter(Boolean)
    .join('. ');
  const value = (isSecret ? secrets[name] : settings[name]) ?? '';
  const change = (next: string) => (isSecret ? onSecret(name, next) : onSetting(name, next));
  return (
    <Field
      label={fieldTitle(name)}
      isOptional={!isRequired && name !== 'tls'}
      hint={hint === '' ? undefined : <Prose value={`${hint}.`} />}
      problem={fieldProblem(problem, `${part}.${name}`) ?? fieldProblem(problem, name)}
    >
      {(control) =>
        name === 'ca' ? (
          <textarea
            {...control}
            class="mono"
            rows={4}
            spellcheck={false}
            value={value}
            onInput={(event) => change(event.currentTarget.value)}
          />
        ) : name === 'tls' ? (
          <select {...control} value={value || 'auto'} onChange={(event) => change(event.currentTarget.value)}>
            {TLS.map((one) => (
              <option key={one} value={one}>
                {words.tlsNames[one]}
              </option>
            ))}
          </select>
        ) : (
          <input
            {...control}
            class={`mono ${isSecret && name !== 'url' ? 'is-secret' : ''}`}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={value}
            onInput={(event) => change(event.currentTarget.value)}
          />
        )
      }
    </Field>
  );
}

const sentence = (description: string): string => description.charAt(0).toUpperCase() + description.slice(1);
