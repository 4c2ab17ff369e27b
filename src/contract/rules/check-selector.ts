/** The type check of `metric{label=value, …}`: does the metric exist, has it the labels, and which kinds of entities are left. */

import { matchesGlob } from '#kernel/glob.ts';
import { nearestName } from '#kernel/names.ts';
import { ENTITY_KINDS, type EntityKind, isMetric, METRIC_NAMES, METRICS } from '../metric-catalogue.ts';
import type { Match, Selector } from './checked.ts';
import { allLabelsOf, labelsOfKind } from './entities.ts';
import { type ProblemCode, problemAt, type RuleProblem, type Span } from './problem.ts';
import type { RawMatch, RawSelector } from './syntax.ts';

/** Takes problems while a rule is looked through. */
export interface Findings {
  error(at: Span, code: ProblemCode, message: string, suggestion?: string | null): void;
  note(at: Span, code: ProblemCode, message: string, suggestion?: string | null): void;
}

export function findingsInto(errors: RuleProblem[], notes: RuleProblem[]): Findings {
  return {
    error: (at, code, message, suggestion) => errors.push(problemAt(at, code, message, suggestion ?? null)),
    note: (at, code, message, suggestion) => notes.push(problemAt(at, code, message, suggestion ?? null)),
  };
}

/** Names that are written in other systems for what our labels say. */
const LABEL_WORDS: Readonly<Record<string, string>> = {
  tags: 'tag',
  name: 'vm',
  domain: 'vm',
  guest: 'vm',
  instance: 'host',
  node: 'host',
  interface: 'nic',
  mac: 'nic',
  mountpoint: 'mount',
  path: 'mount',
};

/** @returns null when there is something wrong with it that has been told */
export function checkSelector(raw: RawSelector, findings: Findings): Selector | null {
  const { name } = raw;
  if (!isMetric(name)) {
    const near = nearestName(name, METRIC_NAMES);
    const hint = near === null ? '' : `: did you mean ${near}?`;
    findings.error(raw.nameSpan, 'unknown_metric', `there is no metric ${name}${hint}`, near);
    return null;
  }
  const all: readonly EntityKind[] = METRICS[name].kinds;
  let kinds = all;
  const matches: Match[] = [];
  let isSound = true;
  for (const match of raw.matches ?? []) {
    if (!allLabelsOf(all).includes(match.label)) {
      tellUnknownLabel(match, name, all, findings);
      isSound = false;
      continue;
    }
    if (match.operator === '=~' || match.operator === '!~') noteRegex(match, findings);
    if (match.label !== 'kind') {
      kinds = kinds.filter((kind) => labelsOfKind(kind).includes(match.label));
      matches.push({ label: match.label, operator: match.operator, value: match.value });
      continue;
    }
    const left: readonly EntityKind[] = kinds.filter((kind) => matchesValue(kind, match));
    if (left.length === 0) {
      tellNoKind(match, name, all, findings);
      isSound = false;
    } else kinds = left;
  }
  if (isSound && kinds.length === 0) {
    findings.error(raw, 'label', `no kind of ${name} has all of these labels`);
    return null;
  }
  return isSound ? { metric: name, kinds, matches } : null;
}

/** Whether a label's value passes. */
export function matchesValue(value: string, { operator, value: wanted }: Pick<Match, 'operator' | 'value'>): boolean {
  const isEqual = operator === '=' || operator === '!=' ? value === wanted : matchesGlob(value, wanted);
  return isEqual === (operator === '=' || operator === '=~');
}

function tellUnknownLabel(match: RawMatch, metric: string, kinds: readonly EntityKind[], findings: Findings): void {
  const labels = allLabelsOf(kinds);
  const word = Object.hasOwn(LABEL_WORDS, match.label) ? (LABEL_WORDS[match.label] ?? null) : null;
  const near = word !== null && labels.includes(word) ? word : nearestName(match.label, labels);
  const hint = near === null ? '' : `; did you mean ${near}?`;
  const message = `${match.label} is not a label of ${metric}, which has ${labels.join(', ')}${hint}`;
  findings.error(match.labelSpan, 'label', message, near);
}

function tellNoKind(match: RawMatch, metric: string, kinds: readonly EntityKind[], findings: Findings): void {
  const known = ENTITY_KINDS.some((kind) => kind === match.value);
  const near = known ? null : nearestName(match.value, kinds);
  const hint = near === null ? '' : `; did you mean ${near}?`;
  findings.error(
    match.valueSpan,
    'label_value',
    `${metric} is measured of ${kinds.join(', ')}: nothing is left of them${hint}`,
    near,
  );
}

/** People bring patterns from elsewhere; a glob may hold all of their characters, so this stops nobody. */
function noteRegex(match: RawMatch, findings: Findings): void {
  const { value } = match;
  if (!['.*', '.+', '^', '$', '(', '|', '[', '+'].some((sign) => value.includes(sign))) return;
  const near = value.replaceAll('.*', '*').replaceAll('.+', '?*').replace(/^\^/, '').replace(/\$$/, '');
  findings.note(match.valueSpan, 'glob', `globs know * and ? only: write ${near}`, near);
}
