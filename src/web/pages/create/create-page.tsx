/** Creates a VM in a few steps; the last one shows the plan before anything happens. */

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { Operation } from '#contract/operations.ts';
import { Button } from '../../components/button.tsx';
import { PageHead } from '../../components/page.tsx';
import { PlanPane } from '../../components/plan-view.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { api, can, fieldProblem, problemOf } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { follow } from '../../state/operations.ts';
import { isImageOf, projects } from '../../state/projects.ts';
import { currentQuery, navigate, setQuery } from '../../state/router.ts';
import { showToast } from '../../state/toasts.ts';
import { usePlan } from '../../state/use-plan.ts';
import { text } from '../../text.ts';
import {
  clearDraft,
  type Draft,
  hasNoWayIn,
  isStepReady,
  loadDraft,
  projectFor,
  requestOf,
  STEPS,
  type Step,
  saveDraft,
  stepOfField,
  stepsOf,
  wantOf,
  withCloudImage,
  withOnlyImage,
  withoutChanged,
  withProject,
} from './draft.ts';
import { GuestStep } from './guest-step.tsx';
import { NetworkStep } from './network-step.tsx';
import { ResourcesStep, resourcesProblem } from './resources-step.tsx';
import { SourceStep } from './source-step.tsx';
import type { StepProps } from './step-props.ts';
import './create.css';

const words = text.create;

export function CreatePage() {
  const draft = useSignal(loadDraft());
  const refused = useSignal<Problem | null>(null);
  // What the last review found wrong stays marked in the other steps until it is changed.
  const marked = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const steps = stepsOf(draft.value);
  const asked = currentQuery.value.get('step');
  const firstUnready = steps.findIndex((step) => !isStepReady(step, draft.value));
  const reachable = firstUnready < 0 ? steps.length - 1 : firstUnready;
  const at = Math.min(Math.max(0, steps.indexOf(STEPS.find((step) => step === asked) ?? 'source')), reachable);
  const current = steps[at] ?? 'source';

  const change = (part: Partial<Draft>) => {
    draft.value = { ...draft.value, ...part };
    refused.value = null;
    marked.value = withoutChanged(marked.peek(), part);
    saveDraft(draft.value);
  };
  useEffect(() => {
    images.ensure();
    projects.ensure();
  }, []);
  const creatable = (projects.data.value ?? []).filter(({ id }) => can('vm.create', id));
  const project = projectFor(draft.value, creatable);
  const wantedProject = project?.id ?? null;
  useEffect(() => {
    if (wantedProject === null || draft.peek().project === wantedProject) return;
    draft.value = withProject(draft.peek(), wantedProject, () => true);
  }, [wantedProject, draft]);
  // A link from the image library names its image.
  const wanted = currentQuery.value.get('image');
  const image = wanted === null ? undefined : images.data.value?.get(wanted);
  useEffect(() => {
    if (!image) return;
    draft.value =
      image.kind === 'iso' ? { ...draft.peek(), source: 'iso', isoId: image.id } : withCloudImage(draft.peek(), image);
    setQuery({ image: null });
  }, [image, draft]);

  // Where there is nothing to choose, nothing has to be chosen.
  const library = images.data.value;
  const known = useMemo(
    () => library && new Map([...library].filter(([, image]) => isImageOf(image, project))),
    [library, project],
  );
  const { source } = draft.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the source is what this waits for; who empties the field is not contradicted
  useEffect(() => {
    const taken = known && withOnlyImage(draft.peek(), known);
    if (taken) draft.value = taken;
  }, [known, source, draft]);

  const request = requestOf(draft.value);
  const {
    plan,
    problem,
    isBusy: isPlanning,
  } = usePlan(current === 'review' ? request : null, (body, signal) => api('POST /vms/plan', { body, signal }));
  const found = refused.value ?? problem;
  useEffect(() => {
    if (found || plan) marked.value = found;
  }, [found, plan, marked]);
  const shown = current === 'review' ? found : marked.value;
  const go = (step: Step) => setQuery({ step: step === 'source' ? null : step });

  const create = async () => {
    if (!request) return;
    isBusy.value = true;
    const operation = await follow(api('POST /vms', { body: request }), {
      onRefused: (error) => (refused.value = problemOf(error)),
      onDone: (ended) => showCreated(ended, request.start !== false),
    });
    isBusy.value = false;
    if (!operation) return;
    clearDraft();
    navigate(operation.objectId ? `/operations/${operation.id}` : '/vms');
  };
  const isReady = isStepReady(current, draft.value) && !(current === 'resources' && resourcesProblem(draft.value));
  const want = isReady ? null : (wantOf(current, draft.value) ?? 'marked');
  const next = () => {
    const following = steps[at + 1];
    if (following && isReady) go(following);
    else if (current === 'review' && plan && !isPlanning) void create();
  };
  const props: StepProps = {
    draft: draft.value,
    project,
    creatable,
    change,
    problemOfField: (path) => fieldProblem(shown, path),
  };

  return (
    <>
      <PageHead title={text.pages.create}>
        <Button
          kind="quiet"
          onClick={() => {
            clearDraft();
            navigate('/vms');
          }}
        >
          {text.actions.cancel}
        </Button>
      </PageHead>
      <form
        class="wizard"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          next();
        }}
      >
        <ol class="wizard-steps" aria-label={words.steps}>
          {steps.map((step, index) => (
            <li key={step}>
              <button
                type="button"
                aria-current={step === current ? 'step' : undefined}
                disabled={index > reachable}
                onClick={() => go(step)}
              >
                <span class="wizard-number">{index + 1}</span>
                {words.stepNames[step]}
              </button>
            </li>
          ))}
        </ol>
        <section class="card wizard-body" aria-label={words.stepNames[current]}>
          <h2 class="wizard-title">{words.stepTitles[current]}</h2>
          {current === 'source' && <SourceStep {...props} />}
          {current === 'resources' && <ResourcesStep {...props} />}
          {current === 'network' && <NetworkStep {...props} />}
          {current === 'guest' && <GuestStep {...props} />}
          {current === 'review' && (
            <div class="form">
              {hasNoWayIn(draft.value) && (
                <p class="plan-warning">
                  <Glyph tone="warn" shape="triangle" />
                  {words.noWayIn}
                </p>
              )}
              {!(shown && !plan) && <PlanPane plan={plan} problem={null} isBusy={isPlanning} isCreate />}
              {shown && (
                <>
                  <ProblemBox problem={shown} isCompact />
                  <p class="wizard-mend">
                    {[...new Set((shown.fields ?? []).map((field) => stepOfField(field.path)))].map((step) => (
                      <Button key={step} icon="edit" onClick={() => go(step)}>
                        {words.goTo(words.stepNames[step])}
                      </Button>
                    ))}
                  </p>
                </>
              )}
            </div>
          )}
        </section>
        <footer class="wizard-foot">
          {want && (
            <p id="wizard-want" class="muted small">
              {words.wants[want]}
            </p>
          )}
          {at > 0 && (
            <Button onClick={() => go(steps[at - 1] ?? 'source')} disabled={isBusy.value}>
              {text.actions.back}
            </Button>
          )}
          <Button
            type="submit"
            kind="primary"
            isBusy={isBusy.value}
            aria-describedby={want ? 'wizard-want' : undefined}
            disabled={current === 'review' ? !plan || isPlanning : !isReady}
          >
            {current === 'review'
              ? draft.value.start
                ? words.createAndStart(draft.value.name)
                : words.create(draft.value.name)
              : text.actions.next}
          </Button>
        </footer>
      </form>
    </>
  );
}

function showCreated({ title, objectId, objectName }: Operation, isStarted: boolean): void {
  const links = objectId
    ? [
        { href: `/vms/${objectId}`, label: text.toasts.show(objectName ?? '') },
        ...(isStarted && can('vm.screen') ? [{ href: `/vms/${objectId}/console`, label: text.vm.console }] : []),
      ]
    : [];
  showToast({ kind: 'good', title: text.toasts.done(title), links });
}
