/** What a create or an edit will do, before it does it: field, now, after, and when it takes hold. */

import type { Effect, Problem } from '#contract/common.ts';
import type { VmPlan } from '#contract/vms.ts';
import { fieldName, text } from '../text.ts';
import { bytesText } from './figures.tsx';
import { ProblemBox } from './problem-box.tsx';
import { Prose } from './prose.tsx';
import { Badge, Glyph, type Tone } from './state-mark.tsx';

const TONES: Readonly<Record<Effect, Tone>> = {
  live: 'good',
  next_boot: 'accent',
  restart: 'warn',
  destroys_data: 'bad',
};

export function EffectBadge({ effect }: { readonly effect: Effect }) {
  return (
    <Badge tone={TONES[effect]} title={text.effects[effect].hint}>
      {text.effects[effect].label}
    </Badge>
  );
}

/** @param isCreate hides the "now" column: there is nothing yet */
export function PlanView({ plan, isCreate = false }: { readonly plan: VmPlan; readonly isCreate?: boolean }) {
  return (
    <div class="plan">
      {plan.warnings.map((warning) => (
        <p key={warning} class="plan-warning">
          <Glyph tone="warn" shape="triangle" />
          <span>
            <Prose value={warning} />
          </span>
        </p>
      ))}
      {plan.changes.length > 0 && (
        <div class="table-scroll">
          <table class="table plan-table">
            <thead>
              <tr>
                <th scope="col">{text.plan.field}</th>
                {!isCreate && <th scope="col">{text.plan.now}</th>}
                <th scope="col">{isCreate ? text.plan.value : text.plan.after}</th>
                {!isCreate && <th scope="col">{text.plan.effect}</th>}
              </tr>
            </thead>
            <tbody>
              {plan.changes.map((change) => (
                <tr key={change.field}>
                  <th scope="row">{fieldName(change.field)}</th>
                  {!isCreate && <td class="mono was">{change.now ?? text.unknownValue}</td>}
                  <td class="mono">{change.after ?? text.unknownValue}</td>
                  {!isCreate && (
                    <td>
                      <EffectBadge effect={change.effect} />
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Needs plan={plan} />
    </div>
  );
}

function Needs({ plan }: { readonly plan: VmPlan }) {
  const { needs } = plan;
  const lines: (readonly [string, number, number | null])[] = [];
  if (needs.memoryBytes > 0) lines.push([text.plan.memory, needs.memoryBytes, needs.freeMemoryBytes]);
  if (needs.diskBytes > 0) lines.push([text.plan.disk, needs.diskBytes, needs.freeDiskBytes]);
  if (lines.length === 0) return null;
  return (
    <p class="muted small">
      {lines
        .map(([name, wanted, free]) =>
          free === null
            ? text.plan.needs(name, bytesText(wanted))
            : text.plan.needsOf(name, bytesText(wanted), bytesText(free)),
        )
        .join(' · ')}
    </p>
  );
}

/** The plan, the reason why there is none, or a word that it is being made. */
export function PlanPane({
  plan,
  problem,
  isBusy,
  isCreate = false,
  isMarked = false,
}: {
  readonly plan: VmPlan | null;
  readonly problem: Problem | null;
  /** What is wrong stands at its field already. */
  readonly isMarked?: boolean;
  readonly isBusy: boolean;
  readonly isCreate?: boolean;
}) {
  return (
    <div class={`plan-pane ${isBusy ? 'is-busy' : ''}`} aria-live="polite" aria-busy={isBusy}>
      {isMarked ? (
        <p class="muted">{text.plan.correct}</p>
      ) : problem ? (
        <ProblemBox problem={problem} isCompact />
      ) : plan ? (
        plan.changes.length === 0 && plan.warnings.length === 0 ? (
          <p class="muted">{text.plan.nothing}</p>
        ) : (
          <PlanView plan={plan} isCreate={isCreate} />
        )
      ) : (
        <p class="muted">{isBusy ? text.plan.making : text.plan.nothing}</p>
      )}
    </div>
  );
}
