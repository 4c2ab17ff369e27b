/** Which entities a selector covers. */

import { matchesValue } from '#contract/rules/check-selector.ts';
import type { Match, Selector } from '#contract/rules/checked.ts';
import type { Subject } from './tick-index.ts';

export type Covers = (subject: Subject) => boolean;

const everything: Covers = () => true;

/** The labels of a VM hold those of its host, so the subject's own labels say it for what the subject lies in, too. */
export function coversOf({ matches }: Selector): Covers {
  if (matches.length === 0) return everything;
  const tests = matches.map(testOf);
  return (subject) => tests.every((test) => test(subject));
}

function testOf(match: Match): Covers {
  const { label, operator } = match;
  if (label === 'tag') {
    // One of several: what is refused must be none of them.
    const isRefusal = operator === '!=' || operator === '!~';
    const positive = { value: match.value, operator: operator === '!=' || operator === '=' ? '=' : '=~' } as const;
    return (subject) => subject.tags.some((tag) => matchesValue(tag, positive)) !== isRefusal;
  }
  return (subject) => matchesValue(subject.labels[label] ?? '', match);
}
