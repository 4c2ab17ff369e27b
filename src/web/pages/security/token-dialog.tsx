/** Makes an API token and shows its secret, once. */

import { useSignal } from '@preact/signals';
import { type Permission, READ_ONLY_PERMISSIONS } from '#contract/permissions.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Choice, Field } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { tokens } from '../../state/access.ts';
import { api, fieldProblem, session } from '../../state/api.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { GRANTABLE } from './permission-areas.ts';
import { PermissionPicker } from './permission-list.tsx';
import { PlaceField } from './place-field.tsx';

const words = text.access.tokens;
const LIFETIMES = ['7', '30', '90', '366'] as const;

export function TokenDialog({ onClose }: { readonly onClose: () => void }) {
  const state = session.value;
  const mine = state.kind === 'signed_in' ? state.identity.anywhere : [];
  const offered = GRANTABLE.filter((permission) => mine.includes(permission));
  const name = useSignal('');
  const days = useSignal<(typeof LIFETIMES)[number]>('90');
  const scope = useSignal<string | null>('all');
  const chosen = useSignal<ReadonlySet<Permission>>(new Set());
  const isTried = useSignal(false);
  const made = useSignal<{ readonly name: string; readonly secret: string; readonly expiresAt: string } | null>(null);
  const request = useRequest();
  const preset = (permissions: readonly Permission[]) => (chosen.value = new Set(permissions));
  const create = () => {
    isTried.value = true;
    const where = scope.value;
    if (where === null || chosen.value.size === 0) return;
    void request.run(async () => {
      made.value = await api('POST /tokens', {
        body: { name: name.value.trim(), permissions: [...chosen.value], scope: where, days: Number(days.value) },
      });
      await tokens.reload();
    });
  };
  if (made.value) return <SecretDialog {...made.value} onClose={onClose} />;
  const problem = request.problem.value;
  return (
    <Dialog
      isWide
      title={words.create}
      onClose={onClose}
      onSubmit={create}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value}>
            {words.create}
          </Button>
        </>
      }
    >
      {problem && <ProblemBox isCompact problem={problem} />}
      <div class="form-row">
        <Field label={words.name} hint={words.nameHint} problem={fieldProblem(problem, 'name')}>
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              value={name.value}
              onInput={(event) => (name.value = event.currentTarget.value)}
            />
          )}
        </Field>
        <PlaceField
          label={words.scope}
          hint={words.scopeHint}
          allLabel={words.wherever}
          value={scope.value}
          isTried={isTried.value}
          onChange={(value) => (scope.value = value)}
        />
      </div>
      <div class="field">
        <span class="label">{words.days}</span>
        <Choice
          label={words.days}
          value={days.value}
          onChange={(value) => (days.value = value)}
          options={LIFETIMES.map((value) => ({ value, label: words.dayChoices[value] }))}
        />
      </div>
      <div class="field">
        <span class="label">{words.permissions}</span>
        <p class="presets">
          <span class="muted small">{words.presets}</span>
          <Button isSmall onClick={() => preset(offered.filter((one) => READ_ONLY_PERMISSIONS.has(one)))}>
            {words.presetRead}
          </Button>
          <Button isSmall onClick={() => preset(offered)}>
            {words.presetAll}
          </Button>
          <Button isSmall onClick={() => preset([])}>
            {words.presetNone}
          </Button>
        </p>
        {isTried.value && chosen.value.size === 0 && <p class="field-problem">{words.permissionsProblem}</p>}
        <PermissionPicker
          offered={offered}
          chosen={chosen.value}
          isOwn={(permission) => mine.includes(permission)}
          onChange={(next) => (chosen.value = next)}
        />
      </div>
    </Dialog>
  );
}

/** Closing it by accident would lose the secret, so the first time it only warns. */
function SecretDialog({
  name,
  secret,
  expiresAt,
  onClose,
}: {
  readonly name: string;
  readonly secret: string;
  readonly expiresAt: string;
  readonly onClose: () => void;
}) {
  const isWarned = useSignal(false);
  const close = () => {
    if (isWarned.value) onClose();
    isWarned.value = true;
  };
  return (
    <Dialog
      isWide
      title={`${words.secretTitle}: ${name}`}
      onClose={close}
      foot={
        <Button kind="primary" onClick={onClose}>
          {words.kept}
        </Button>
      }
    >
      <p>
        {words.secretNote} {words.expires} <TimeAgo iso={expiresAt} />.
      </p>
      <p class="command">
        <code class="breaks">{secret}</code>
        <CopyButton value={secret} name={words.copy} />
      </p>
      <p class="muted small">
        {words.secretUse} <code>Authorization: Bearer {'…'}</code>
      </p>
      {isWarned.value && (
        <p class="field-warning" role="alert">
          {words.notKept}
        </p>
      )}
    </Dialog>
  );
}
