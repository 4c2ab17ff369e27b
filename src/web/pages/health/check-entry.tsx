/** One check: what was found and since when; opened, what to do, its limits, and when its status changed. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { HealthDetail, HealthResult } from '#contract/health.ts';
import { formatBytes } from '#kernel/units.ts';
import { Since, TimeAgo } from '../../components/figures.tsx';
import { Prose } from '../../components/prose.tsx';
import { CheckMark } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { healthText as words } from '../../text-health.ts';

export function CheckEntry({ result }: { readonly result: HealthResult }) {
  const isOpen = useSignal(result.status === 'fail');
  return (
    <li id={result.id}>
      <details
        open={isOpen.value}
        onToggle={(event) => {
          isOpen.value = event.currentTarget.open;
        }}
      >
        <summary>
          <CheckMark status={result.status} />
          <strong>{result.title}</strong>
          <span class="muted problem-brief">
            <Prose value={result.evidence} />
          </span>
          <span class="muted small health-since">
            {words.since} <Since iso={result.since} />
          </span>
        </summary>
        <div class="problem-more">
          <p>
            <Prose value={result.evidence} />
          </p>
          {result.hint && (
            <p class="muted">
              <Prose value={result.hint} />
            </p>
          )}
          {result.items.length > 0 && (
            <ul class="health-items">
              {result.items.map((item) => (
                <li key={`${item.name} ${item.detail}`}>
                  <CheckMark status={item.status}>{item.name}</CheckMark> <span class="muted">{item.detail}</span>
                </li>
              ))}
            </ul>
          )}
          {/* Read again when the status changed. */}
          {isOpen.value && <More key={result.status} result={result} />}
        </div>
      </details>
    </li>
  );
}

const MOST_DOTS = 40;

function More({ result: { id, title, checkedAt } }: { readonly result: HealthResult }) {
  const detail = useSignal<HealthDetail | null>(null);
  useEffect(() => {
    api('GET /health/{id}', { params: { id } }).then((found) => {
      detail.value = found;
    }, showProblem);
  }, [detail, id]);
  if (detail.value === null) return null;
  const { meaning, limits, history } = detail.value;
  return (
    <div class="health-more small">
      <p class="muted">
        {meaning} {words.checked} <TimeAgo iso={checkedAt} />. <span class="mono">{id}</span>
      </p>
      {limits.length > 0 && (
        <ul class="muted">
          {limits.map(({ name, of, unit, warn, fail }) => (
            <li key={name}>{words.limit(of, numberText(warn, unit), numberText(fail, unit))}</li>
          ))}
        </ul>
      )}
      {history.length > 1 && (
        <ol class="health-history" aria-label={words.historyOf(title)}>
          {history
            .slice(0, MOST_DOTS)
            .toReversed()
            .map((change) => (
              <li key={change.at} title={`${change.at}: ${change.evidence}`}>
                <CheckMark status={change.status}>
                  <span class="visually-hidden">{text.checkStates[change.status]}</span>
                </CheckMark>
                <TimeAgo iso={change.at} />
              </li>
            ))}
        </ol>
      )}
    </div>
  );
}

const UNITS: Readonly<Record<string, (value: number) => string>> = {
  ratio: (value) => `${Math.round(value * 1000) / 10} %`,
  bytes: formatBytes,
  bytes_per_second: (value) => `${formatBytes(value)}/s`,
  per_second: (value) => `${value} a second`,
  seconds: (value) => `${value} s`,
  hours: (value) => `${value} h`,
  days: (value) => `${value} d`,
  celsius: (value) => `${value} °C`,
};

function numberText(value: number | null, unit: string): string | null {
  return value === null ? null : (UNITS[unit] ?? String)(value);
}
