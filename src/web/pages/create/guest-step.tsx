/** What cloud-init sets up at the first boot: user, keys, password; or a whole user-data document. */

import { Choice, Field } from '../../components/form.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { images } from '../../state/library.ts';
import { text } from '../../text.ts';
import { hasNoWayIn } from './draft.ts';
import type { StepProps } from './step-props.ts';

const words = text.create;

export function GuestStep({ draft, change, problemOfField }: StepProps) {
  const defaultUser = images.data.value?.get(draft.cloudImageId)?.defaultUser ?? null;
  return (
    <div class="form">
      <Choice
        label={words.stepTitles.guest}
        value={draft.hasUserData ? 'document' : 'fields'}
        onChange={(value) => change({ hasUserData: value === 'document' })}
        options={[
          { value: 'fields', label: words.guestFields },
          { value: 'document', label: words.guestDocument },
        ]}
      />
      {draft.hasUserData ? (
        <Field label={words.userData} hint={words.userDataHint} problem={problemOfField('cloudInit.userData')}>
          {(field) => (
            <textarea
              {...field}
              class="mono"
              rows={14}
              spellcheck={false}
              value={draft.userData}
              onInput={(event) => change({ userData: event.currentTarget.value })}
            />
          )}
        </Field>
      ) : (
        <>
          <div class="form-row">
            <Field
              label={words.user}
              isOptional
              hint={defaultUser ? words.userHint(defaultUser) : undefined}
              problem={problemOfField('cloudInit.user')}
            >
              {(field) => (
                <input
                  {...field}
                  class="mono"
                  autocomplete="off"
                  autocapitalize="off"
                  spellcheck={false}
                  placeholder={defaultUser ?? ''}
                  value={draft.user}
                  onInput={(event) => change({ user: event.currentTarget.value })}
                />
              )}
            </Field>
            <Field
              label={words.password}
              isOptional
              hint={words.passwordHint}
              problem={
                draft.password !== '' && draft.password.length < 8
                  ? words.passwordShort
                  : problemOfField('cloudInit.password')
              }
            >
              {(field) => (
                <input
                  {...field}
                  type="password"
                  autocomplete="new-password"
                  value={draft.password}
                  onInput={(event) => change({ password: event.currentTarget.value })}
                />
              )}
            </Field>
          </div>
          <Field
            label={words.sshKeys}
            isOptional
            hint={words.sshKeysHint}
            problem={problemOfField('cloudInit.sshKeys')}
          >
            {(field) => (
              <textarea
                {...field}
                class="mono"
                rows={4}
                spellcheck={false}
                placeholder="ssh-ed25519 AAAA… me@laptop"
                value={draft.sshKeys}
                onInput={(event) => change({ sshKeys: event.currentTarget.value })}
              />
            )}
          </Field>
          <div class="form-row">
            <Field
              label={words.hostname}
              isOptional
              hint={words.hostnameHint}
              problem={problemOfField('cloudInit.hostname')}
            >
              {(field) => (
                <input
                  {...field}
                  class="mono"
                  autocomplete="off"
                  spellcheck={false}
                  placeholder={draft.name}
                  value={draft.hostname}
                  onInput={(event) => change({ hostname: event.currentTarget.value })}
                />
              )}
            </Field>
            <Field
              label={words.packages}
              isOptional
              hint={words.packagesHint}
              problem={problemOfField('cloudInit.packages')}
            >
              {(field) => (
                <input
                  {...field}
                  class="mono"
                  autocomplete="off"
                  spellcheck={false}
                  value={draft.packages}
                  onInput={(event) => change({ packages: event.currentTarget.value })}
                />
              )}
            </Field>
          </div>
          {hasNoWayIn(draft) && (
            <p class="plan-warning">
              <Glyph tone="warn" shape="triangle" />
              {words.noWayIn}
            </p>
          )}
        </>
      )}
      <details class="more" open={draft.networkData !== ''}>
        <summary>{words.networkData}</summary>
        <Field
          label={words.networkDocument}
          isOptional
          hint={words.networkDataHint}
          problem={problemOfField('cloudInit.networkData')}
        >
          {(field) => (
            <textarea
              {...field}
              class="mono"
              rows={6}
              spellcheck={false}
              value={draft.networkData}
              onInput={(event) => change({ networkData: event.currentTarget.value })}
            />
          )}
        </Field>
      </details>
    </div>
  );
}
