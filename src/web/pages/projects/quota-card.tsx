/** The limits of a project, what is used of them, and setting them. */

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Project } from '#contract/projects.ts';
import { QUOTA_FACTS, QUOTA_RESOURCES, type QuotaResource } from '#contract/quota-facts.ts';
import type { Quota } from '#contract/quotas.ts';
import { formatBytes, parseBytes } from '#kernel/units.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Field } from '../../components/form.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api, canEverywhere, fieldProblem } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { QuotaBars } from './quota-bars.tsx';

const words = text.quotas;

export function QuotaCard({ project }: { readonly project: Project }) {
  // A project that was just made comes here to be given limits: without them nothing can be made in it.
  const isSetting = useSignal(currentQuery.peek().get('set') === 'limits');
  useEffect(() => setQuery({ set: null }), []);
  const maySet = canEverywhere('project.manage');
  const quotas = useMemo(
    () =>
      createResource(
        async () => (await api('GET /projects/{id}/quotas', { params: { id: project.id } })).quotas,
        ['vm.changed', 'vm.removed', 'trash.changed', 'image.changed', 'image.removed'],
        3000,
      ),
    [project.id],
  );
  const isNothingAllowed = quotas.data.value !== null && isEmpty(quotas.data.value);
  return (
    <Card
      title={words.title}
      aside={
        maySet && (
          <Button
            isSmall
            icon="edit"
            kind={isNothingAllowed ? 'primary' : 'plain'}
            onClick={() => (isSetting.value = true)}
          >
            {words.set}
          </Button>
        )
      }
    >
      <Loaded resource={quotas}>
        {(known) => (
          <>
            {maySet && isNothingAllowed ? <p class="muted">{words.noneToSet}</p> : <QuotaBars quotas={known} />}
            {maySet && isSetting.value && (
              <QuotaDialog
                project={project}
                quotas={known}
                onClose={() => (isSetting.value = false)}
                onDone={() => void quotas.reload()}
              />
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}

const isEmpty = (quotas: readonly Quota[]): boolean => quotas.every(({ limit, used }) => limit === 0 && used === 0);

type Texts = Readonly<Record<QuotaResource, string>>;

const textOf = ({ limit, unit }: Quota): string =>
  limit === null ? '' : unit === 'bytes' && limit > 0 ? formatBytes(limit).replace(' ', '') : String(limit);

/** @returns undefined for what is no limit */
function limitOf(resource: QuotaResource, typed: string): number | null | undefined {
  const value = typed.trim();
  if (value === '') return null;
  if (value === '0') return 0;
  const isPlain = /^\d{1,9}$/.test(value);
  // A size without a unit would be bytes, which nobody means who writes 500.
  if (QUOTA_FACTS[resource].unit === 'bytes') return isPlain ? undefined : (parseBytes(value) ?? undefined);
  return isPlain ? Number(value) : undefined;
}

function QuotaDialog({
  project,
  quotas,
  onClose,
  onDone,
}: {
  readonly project: Project;
  readonly quotas: readonly Quota[];
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const before = useMemo(
    () => Object.fromEntries(quotas.map((quota) => [quota.resource, textOf(quota)])) as Texts,
    [quotas],
  );
  const texts = useSignal<Texts>(before);
  const request = useRequest();
  const changed = QUOTA_RESOURCES.filter((resource) => texts.value[resource] !== before[resource]);
  const limits = changed.map((resource) => [resource, limitOf(resource, texts.value[resource])] as const);
  const isBad = limits.some(([, limit]) => limit === undefined);
  const save = async () => {
    if (isBad) return;
    if (limits.length === 0) return onClose();
    const done = await request.run(async () => {
      // Only what was typed anew: a size that is shown rounded stays what it is.
      await api('PATCH /projects/{id}/quotas', {
        params: { id: project.id },
        body: { limits: Object.fromEntries(limits) },
      });
      onDone();
    });
    if (done) onClose();
  };
  const problem = request.problem.value;
  return (
    <Dialog
      title={words.setTitle(project.name)}
      onClose={onClose}
      onSubmit={() => void save()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value}>
            {words.save}
          </Button>
        </>
      }
    >
      {isEmpty(quotas) && <p>{words.setFirst}</p>}
      <p class="muted">{words.setNote}</p>
      {problem && <ProblemBox isCompact problem={problem} />}
      <div class="form-row">
        {QUOTA_RESOURCES.map((resource) => {
          const { title, meaning, unit } = QUOTA_FACTS[resource];
          const isWrong = limitOf(resource, texts.value[resource]) === undefined;
          return (
            <Field
              key={resource}
              label={title}
              hint={meaning}
              problem={
                isWrong ? (unit === 'bytes' ? words.badSize : words.bad) : fieldProblem(problem, `limits.${resource}`)
              }
            >
              {(field) => (
                <input
                  {...field}
                  class="mono"
                  autocomplete="off"
                  value={texts.value[resource]}
                  onInput={(event) => (texts.value = { ...texts.value, [resource]: event.currentTarget.value })}
                />
              )}
            </Field>
          );
        })}
      </div>
    </Dialog>
  );
}
