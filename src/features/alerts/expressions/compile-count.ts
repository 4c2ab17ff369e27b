/** `count(… by …)`: counted once a moment for all groups. What is unknown of a member leaves the count between two numbers. */

import type { Comparison, Selector, Value } from '#contract/rules/checked.ts';
import { nearestKind, type SubjectKind } from '#contract/rules/entities.ts';
import { TRUE, UNCOVERED, UNKNOWN, type Verdict } from './logic.ts';
import type { Collect, CompileTest, Judgement, TestPart } from './parts.ts';
import { coversOf } from './selection.ts';
import type { IndexedSeries, Subject, TickIndex } from './tick-index.ts';

export interface Count {
  readonly yes: number;
  readonly unknown: number;
}

export interface CountPart {
  readonly read: (subject: Subject, index: TickIndex) => Count;
  readonly covers: (subject: Subject) => boolean;
  readonly collect: Collect;
}

const NONE: Count = { yes: 0, unknown: 0 };

interface Groups {
  readonly counts: ReadonlyMap<string, Count>;
  readonly subjects: ReadonlyMap<string, Subject>;
}

/** @param kind of the subjects that are judged: of the groups, or of what lies in them */
export function compileCount(
  { of, by }: Value & { type: 'count' },
  kind: SubjectKind,
  compare: CompileTest<Comparison>,
): CountPart {
  const kinds = of.kinds.filter((one) => nearestKind(one, [by === 'project' ? 'vm' : by]) !== null);
  const members = kinds.map((one) => ('metric' in of ? compileFresh(of, one) : compare(of, one, one)));
  let counted: { readonly index: TickIndex; readonly groups: Groups } | null = null;
  const groupsOf = (index: TickIndex): Groups => {
    if (counted?.index !== index) counted = { index, groups: countGroups(members, by, index) };
    return counted.groups;
  };
  return {
    read: (subject, index) => groupsOf(index).counts.get(keyOfGroup(subject, by)) ?? NONE,
    covers: () => true,
    collect(index, into) {
      if (kind !== by) return;
      if (by === 'project') for (const [key, subject] of groupsOf(index).subjects) into.set(key, subject);
      else for (const { subject } of index.existing(by)) into.set(subject.key, subject);
    },
  };
}

/** A metric alone counts the entities that have a fresh sample of it. */
function compileFresh(selector: Selector, kind: SubjectKind): TestPart {
  const covers = coversOf(selector);
  const seriesOf = (index: TickIndex): ReadonlyMap<string, IndexedSeries> => index.of(selector.metric, kind);
  return {
    judge(subject, { index }) {
      const series = seriesOf(index).get(subject.key);
      return series !== undefined && !Number.isNaN(series.value) && covers(subject) ? TRUE : UNCOVERED;
    },
    collect(index, into) {
      for (const { subject } of seriesOf(index).values()) into.set(subject.key, subject);
    },
  };
}

function countGroups(members: readonly TestPart[], by: 'host' | 'vm' | 'project', index: TickIndex): Groups {
  const counts = new Map<string, Count>();
  const subjects = new Map<string, Subject>();
  const judgement: Judgement = { index, isFiring: false, value: Number.NaN, figure: null };
  for (const member of members) {
    const found = new Map<string, Subject>();
    member.collect(index, found);
    for (const subject of found.values()) {
      const verdict = member.judge(subject, judgement);
      if (verdict === UNCOVERED) continue;
      const key = keyOfGroup(subject, by);
      counts.set(key, withOne(counts.get(key) ?? NONE, verdict));
      if (by === 'project' && !subjects.has(key)) subjects.set(key, projectSubject(subject, key, index));
    }
  }
  return { counts, subjects };
}

function withOne({ yes, unknown }: Count, verdict: Verdict): Count {
  return { yes: yes + (verdict === TRUE ? 1 : 0), unknown: unknown + (verdict === UNKNOWN ? 1 : 0) };
}

function keyOfGroup(subject: Subject, by: 'host' | 'vm' | 'project'): string {
  if (subject.kind === by) return subject.key;
  if (by === 'host') return subject.hostKey;
  return by === 'vm' ? subject.vmKey : `project/${subject.labels['project'] ?? ''}/${subject.hostKey}`;
}

function projectSubject(member: Subject, key: string, index: TickIndex): Subject {
  const host = member.labels['host'] ?? '';
  const project = member.labels['project'] ?? '';
  const owner = index.existing('host').find(({ subject }) => subject.key === member.hostKey)?.subject.entity.owner;
  return {
    entity: { owner: owner ?? { type: 'host', id: host }, kind: 'host', sub: project },
    labels: { host, project, kind: 'project' },
    kind: 'project',
    key,
    vmKey: '',
    hostKey: member.hostKey,
    tags: [],
  };
}
