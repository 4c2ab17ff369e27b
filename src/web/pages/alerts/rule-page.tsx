/** One rule: its condition with a live check, what it means, its settings, and what it would have done in the past. */

import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { AlertRule } from '#contract/alerts.ts';
import { explain } from '#contract/rules/explain.ts';
import { checkRule } from '#contract/rules/rule.ts';
import { Button } from '../../components/button.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, PageHead, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Prose } from '../../components/prose.tsx';
import { alertRules, channels } from '../../state/alerts.ts';
import { api, can } from '../../state/api.ts';
import { projects } from '../../state/projects.ts';
import { currentQuery, navigate } from '../../state/router.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { rulePath } from './alert-actions.tsx';
import './alerts.css';
import { BacktestCard } from './backtest-card.tsx';
import { ConditionField } from './condition-field.tsx';
import { mayChange, RuleDialogs, ruleMenu } from './rule-actions.tsx';
import { draftOf, NEW_DRAFT, patchOf, problemsOfDraft, type RuleDraft, specOf } from './rule-draft.ts';
import { RuleSettings } from './rule-settings.tsx';
import { Origin } from './rules-tab.tsx';

const words = alertsText.editor;
const NEW = 'new';

export function RulePage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? NEW;
  useEffect(() => {
    alertRules.ensure();
    channels.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const all = alertRules.data.value;
  const problem = alertRules.problem.value;
  if (all === null)
    return problem ? <ProblemBox problem={problem} onRetry={() => void alertRules.reload()} /> : <Skeleton lines={8} />;
  if (id === NEW) {
    const model = all.find((rule) => rule.id === currentQuery.value.get('of'));
    return (
      <RuleEditor
        key={`${NEW} ${model?.id ?? ''}`}
        rule={null}
        first={model ? { ...draftOf(model), name: `${model.name}_copy` } : NEW_DRAFT}
      />
    );
  }
  const rule = all.find((one) => one.id === id || one.name === id);
  if (rule === undefined)
    return (
      <EmptyState icon="alert" title={text.errors.noPage.title} action={<a href="/alerts/rules">{words.back}</a>} />
    );
  return <RuleEditor key={rule.id} rule={rule} first={draftOf(rule)} />;
}

function RuleEditor({ rule, first }: { readonly rule: AlertRule | null; readonly first: RuleDraft }) {
  const start = useSignal(first);
  const draft = useSignal(first);
  const isTried = useSignal(false);
  const request = useRequest();
  const isReadOnly = rule !== null && (rule.origin === 'config' || !mayChange(rule));
  // Somebody else may have changed it; what was typed here stays.
  const isTouched = useComputed(() => JSON.stringify(draft.value) !== JSON.stringify(start.value));
  const current = JSON.stringify(first);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another rule text is what this waits for
  useEffect(() => {
    if (isTouched.peek()) return;
    start.value = first;
    draft.value = first;
  }, [current]);
  const { condition, clear, desiredOnly } = draft.value;
  const check = useMemo(
    () => checkRule(condition, { clear: clear.trim() || null, desiredOnly }),
    [condition, clear, desiredOnly],
  );
  const change = (part: Partial<RuleDraft>) => {
    draft.value = { ...draft.peek(), ...part };
  };
  const problems = problemsOfDraft(draft.value);
  const isSound = check.rule !== null;
  const save = async () => {
    isTried.value = true;
    if (!isSound || Object.values(problems).some(Boolean)) return;
    let name = draft.value.name;
    const isDone = await request.run(async () => {
      const patch = patchOf(start.value, draft.value);
      if (rule !== null && Object.keys(patch).length === 0) return;
      const saved =
        rule === null
          ? await api('POST /rules', { body: specOf(draft.value) })
          : await api('PATCH /rules/{id}', { params: { id: rule.id }, body: patch });
      name = saved.name;
      start.value = draftOf(saved);
      draft.value = start.value;
      await alertRules.reload();
      if (rule === null) navigate(rulePath(saved.id), { replace: true });
    });
    if (isDone) showToast({ kind: 'good', title: words.saved(name) });
  };
  return (
    <>
      <p class="back">
        <a href="/alerts/rules">{words.back}</a>
      </p>
      <PageHead title={rule?.name ?? words.createTitle} note={rule && <Origin rule={rule} />}>
        {!isReadOnly && (
          <Button
            kind="primary"
            icon="check"
            isBusy={request.isBusy.value}
            disabled={rule !== null && !isTouched.value}
            title={rule !== null && !isTouched.value ? words.unsaved : undefined}
            onClick={() => void save()}
          >
            {rule === null ? words.create : words.save}
          </Button>
        )}
        {rule && <Menu label={alertsText.actionsFor(rule.name)} entries={ruleMenu(rule)} />}
      </PageHead>
      {rule?.origin === 'config' && (
        <p class="note">
          <Prose value={words.managed} />
        </p>
      )}
      {request.problem.value && <ProblemBox problem={request.problem.value} />}
      <div class="rule-page">
        <div class="stack">
          <Card>
            <ConditionField
              value={condition}
              errors={check.errors}
              notes={check.notes}
              isReadOnly={isReadOnly}
              onChange={(next) => change({ condition: next })}
            />
            {condition.trim() === '' ? (
              <Examples onTake={(example) => change({ condition: example })} />
            ) : (
              check.rule && (
                <p class="explanation">
                  <span class="muted small">{words.means}</span>
                  {explain(check.rule)}
                </p>
              )
            )}
          </Card>
          <BacktestCard draft={draft.value} isSound={isSound} />
        </div>
        <RuleSettings
          draft={draft.value}
          clearProblem={check.clearErrors[0]?.message ?? null}
          problems={isTried.value || isTouched.value ? { ...problems, name: isTried.value && problems.name } : null}
          request={request.problem.value}
          isReadOnly={isReadOnly}
          onChange={change}
        />
      </div>
      <RuleDialogs onRemoved={() => navigate('/alerts/rules')} />
    </>
  );
}

function Examples({ onTake }: { readonly onTake: (example: string) => void }) {
  return (
    <div class="examples">
      <p class="muted small">{words.nothing}</p>
      {words.examples.map((example) => (
        <button key={example} type="button" class="chip mono" onClick={() => onTake(example)}>
          {example}
        </button>
      ))}
      <p class="muted small">
        <Prose value={words.conditionHint} />
      </p>
    </div>
  );
}
