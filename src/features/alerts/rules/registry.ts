/** All rules: those of the configuration, those that users made, and those that come with the program, each changed or not. A rule whose
 *  condition does not hold together is there, says why, and is off. */

import { type AlertRulePatch, type AlertRuleSpec, alertRuleSpecSchema } from '#contract/alert-rule-spec.ts';
import type { AlertRule, RuleProblem } from '#contract/alerts.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { nearestName } from '#kernel/names.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { type RunningRule, runningRule } from '../evaluation.ts';
import { compileRule, type RuleText } from '../rule-language.ts';
import type { AlertStore, RuleRow } from '../store.ts';
import { DEFAULT_RULES } from './default-rules.ts';

export interface RuleEntry {
  readonly id: string;
  readonly origin: AlertRule['origin'];
  readonly spec: AlertRuleSpec;
  readonly problems: readonly RuleProblem[];
  /** Null when it has problems or is switched off. */
  readonly running: RunningRule | null;
  readonly explanation: string | null;
  readonly metrics: readonly string[];
}

export interface RuleRegistry {
  load(): Promise<void>;
  /** By name. */
  all(): readonly RuleEntry[];
  get(idOrName: string): RuleEntry | null;
  /** @throws already_exists, rule_invalid */
  create(spec: AlertRuleSpec, by: string, at: Date): Promise<RuleEntry>;
  /** @throws already_exists, rule_invalid, rule_managed, not_found */
  change(id: string, patch: AlertRulePatch, by: string, at: Date, commit: CommitChange): Promise<RuleEntry>;
  /** The rule as it is afterwards: null, or the default that it had replaced. @throws rule_managed, not_found, wrong_state */
  remove(id: string, commit: CommitChange): Promise<RuleEntry | null>;
}

/** Runs `write` in a transaction, together with what follows from the change for the alerts of the rule.
 *  @param after null when it is gone */
export type CommitChange = (
  before: RuleEntry,
  after: RuleEntry | null,
  write: (tx: Transaction) => Promise<void>,
) => Promise<void>;

interface Dependencies {
  readonly db: Database;
  readonly store: Pick<AlertStore, 'rules' | 'putRule' | 'removeRule'>;
  /** `alerts.rules` of the configuration. */
  readonly configured: readonly unknown[];
}

const CONFIG = 'config:';
const DEFAULT = 'default:';

/** All problems of the texts of a rule at once. */
export function checkRule(text: RuleText): Pick<RuleEntry, 'problems' | 'explanation' | 'metrics'> & {
  readonly compiled: ReturnType<typeof compileRule>['rule'];
} {
  const { rule, problems, clearProblems } = compileRule(text);
  return {
    compiled: rule,
    problems: [
      ...problems.map((problem) => ({ ...problem, field: 'condition' as const })),
      ...clearProblems.map((problem) => ({ ...problem, field: 'clear' as const })),
    ],
    explanation: rule?.explanation ?? null,
    metrics: rule?.requires ?? [],
  };
}

function entryOf(id: string, origin: RuleEntry['origin'], spec: AlertRuleSpec): RuleEntry {
  const { compiled, ...checked } = checkRule(spec);
  const running = compiled === null || !spec.enabled ? null : runningRule(id, spec, compiled);
  return { id, origin, spec, running, ...checked };
}

/** A rule of the configuration that does not even have the shape of one. */
function shapeless(given: unknown, index: number, message: string): RuleEntry {
  const name =
    typeof given === 'object' && given !== null && 'name' in given && typeof given.name === 'string'
      ? given.name.slice(0, 100)
      : `rule ${index + 1}`;
  const spec = alertRuleSpecSchema.parse({ name: 'x', condition: 'x', enabled: false });
  return {
    id: `${CONFIG}${name}`,
    origin: 'config',
    spec: { ...spec, name },
    problems: [{ code: 'shape', field: 'condition', column: 1, length: 1, message, suggestion: null }],
    running: null,
    explanation: null,
    metrics: [],
  };
}

function configEntry(given: unknown, index: number): RuleEntry {
  const parsed = alertRuleSpecSchema.safeParse(given);
  if (parsed.success) return entryOf(`${CONFIG}${parsed.data.name}`, 'config', parsed.data);
  const [issue] = parsed.error.issues;
  return shapeless(given, index, `${issue?.path.join('.') ?? 'the rule'}: ${issue?.message ?? 'does not fit'}`);
}

export function createRuleRegistry({ db, store, configured }: Dependencies): RuleRegistry {
  let entries: ReadonlyMap<string, RuleEntry> = new Map();

  const put = (changed: Iterable<RuleEntry>, without?: string) => {
    const kept = new Map(entries);
    if (without !== undefined) kept.delete(without);
    for (const entry of changed) kept.set(entry.id, entry);
    entries = new Map([...kept].sort(([, a], [, b]) => (a.spec.name < b.spec.name ? -1 : 1)));
  };
  const named = (name: string) => [...entries.values()].find(({ spec }) => spec.name === name) ?? null;
  const get = (idOrName: string) => entries.get(idOrName) ?? named(idOrName);
  const mustGet = (id: string): RuleEntry => {
    const entry = get(id);
    if (entry !== null) return entry;
    const near = nearestName(
      id,
      [...entries.values()].map(({ spec }) => spec.name),
    );
    throw new AppError('not_found', {
      detail: `There is no rule "${id.slice(0, 80)}"${near === null ? '' : `; did you mean "${near}"?`}.`,
      hint: '`hv rule list` lists them.',
    });
  };
  const requireFree = (name: string, own: string | null) => {
    const other = named(name);
    if (other !== null && other.id !== own)
      throw new AppError('already_exists', {
        detail: `There is a rule "${name}" already.`,
        hint: `Choose another name, or change that one: \`hv rule edit ${other.spec.name}\`.`,
      });
  };
  const requireValid = ({ problems, spec }: RuleEntry) => {
    const [first] = problems;
    if (first !== undefined)
      throw new AppError('rule_invalid', {
        detail: `${first.field}, column ${first.column}: ${first.message}`,
        fields: problems.map((problem) => ({
          path: problem.field,
          problem: `column ${problem.column}: ${problem.message}`,
          mend: problem.suggestion === null ? 'See docs/guides/alert-rules.md.' : `Perhaps ${problem.suggestion}.`,
        })),
        params: { problems, condition: spec.condition },
      });
  };
  const rowOf = (entry: RuleEntry, by: string, at: Date): RuleRow => ({
    id: entry.id,
    name: entry.spec.name,
    project: entry.spec.project,
    spec: JSON.stringify(entry.spec),
    changed_by: by,
    changed_at: at.toISOString(),
  });
  const writing = (entry: RuleEntry, by: string, at: Date) => async (tx: Transaction) => {
    await store.putRule(tx, rowOf(entry, by, at));
    tx.afterCommit(() => put([entry]));
  };
  const requireChangeable = ({ origin, spec }: RuleEntry) => {
    if (origin === 'config')
      throw new AppError('rule_managed', { detail: `The rule "${spec.name}" stands in the configuration.` });
  };

  return {
    async load() {
      const managed = configured.map(configEntry);
      const names = new Set(managed.map(({ spec }) => spec.name));
      const rows = (await store.rules()).filter(({ name }) => !names.has(name));
      for (const { name } of rows) names.add(name);
      const changedIds = new Set(rows.map(({ id }) => id));
      const own = rows.map(({ id, spec }) =>
        entryOf(id, id.startsWith(DEFAULT) ? 'changed_default' : 'user', alertRuleSpecSchema.parse(JSON.parse(spec))),
      );
      const defaults = DEFAULT_RULES.filter(({ name }) => !names.has(name) && !changedIds.has(`${DEFAULT}${name}`)).map(
        (spec) => entryOf(`${DEFAULT}${spec.name}`, 'default', spec),
      );
      put([...managed, ...own, ...defaults]);
    },
    all: () => [...entries.values()],
    get,
    async create(spec, by, at) {
      requireFree(spec.name, null);
      const entry = entryOf(newId('rule', at.getTime()), 'user', spec);
      requireValid(entry);
      await db.transaction(writing(entry, by, at));
      return entry;
    },
    async change(id, patch, by, at, commit) {
      const before = mustGet(id);
      requireChangeable(before);
      const spec = alertRuleSpecSchema.parse({ ...before.spec, ...patch });
      requireFree(spec.name, before.id);
      const entry = entryOf(before.id, before.origin === 'user' ? 'user' : 'changed_default', spec);
      requireValid(entry);
      await commit(before, entry, writing(entry, by, at));
      return entry;
    },
    async remove(id, commit) {
      const before = mustGet(id);
      requireChangeable(before);
      if (before.origin === 'default')
        throw new AppError('wrong_state', {
          detail: `The rule "${before.spec.name}" comes with the program and cannot be deleted.`,
          hint: `Switch it off: \`hv rule disable ${before.spec.name}\`.`,
        });
      const original = DEFAULT_RULES.find(({ name }) => `${DEFAULT}${name}` === before.id);
      const restored = original === undefined ? null : entryOf(before.id, 'default', original);
      if (restored !== null) requireFree(restored.spec.name, before.id);
      await commit(before, restored, async (tx) => {
        await store.removeRule(tx, before.id);
        tx.afterCommit(() => put(restored === null ? [] : [restored], before.id));
      });
      return restored;
    },
  };
}
