/** The one text field of a rule: mistakes underlined where they are, mended with one click, and a list of what may come next. */

import { useSignal } from '@preact/signals';
import { useId, useMemo, useRef } from 'preact/hooks';
import { type Completion, completions } from '#contract/rules/completions.ts';
import type { RuleProblem } from '#contract/rules/problem.ts';
import { Button } from '../../components/button.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { alertsText } from '../../text-alerts.ts';
import { mended, pieces } from './condition-text.ts';

const words = alertsText.editor;

const MOST_SHOWN = 50;

interface Choices {
  readonly from: number;
  readonly to: number;
  readonly items: readonly Completion[];
}

export function ConditionField({
  value,
  errors,
  notes,
  isReadOnly,
  onChange,
}: {
  readonly value: string;
  readonly errors: readonly RuleProblem[];
  readonly notes: readonly RuleProblem[];
  readonly isReadOnly: boolean;
  readonly onChange: (text: string) => void;
}) {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const choices = useSignal<Choices | null>(null);
  const chosen = useSignal(0);
  // An empty field needs no mark: what to write stands beside it.
  const shownErrors = value.trim() === '' ? [] : errors;
  const parts = useMemo(() => pieces(value, shownErrors, notes), [value, shownErrors, notes]);

  const offer = (text: string, cursor: number, isAsked: boolean) => {
    const { from, items } = completions(text, cursor);
    const typed = text.slice(from, cursor);
    const useful = items.filter((item) => item.text !== typed).slice(0, MOST_SHOWN);
    choices.value = useful.length > 0 && (isAsked || typed !== '') ? { from, to: cursor, items: useful } : null;
    chosen.value = 0;
  };
  const put = (text: string, cursor: number) => {
    onChange(text);
    // The field is drawn anew before the cursor can stand there.
    requestAnimationFrame(() => {
      area.current?.focus();
      area.current?.setSelectionRange(cursor, cursor);
    });
  };
  const take = (item: Completion) => {
    const open = choices.peek();
    if (open === null) return;
    choices.value = null;
    const before = value.slice(0, open.from) + item.text + (item.kind === 'function' ? '(' : '');
    put(before + value.slice(open.to), before.length);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const open = choices.peek();
    if (event.key === ' ' && event.ctrlKey) {
      event.preventDefault();
      offer(value, area.current?.selectionStart ?? value.length, true);
      return;
    }
    // The condition is one line.
    if (event.key === 'Enter') event.preventDefault();
    if (open === null) return;
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      chosen.value = (chosen.peek() + step + open.items.length) % open.items.length;
      document.getElementById(`${id}-${chosen.peek()}`)?.scrollIntoView({ block: 'nearest' });
    } else if (event.key === 'Enter' || (event.key === 'Tab' && !event.shiftKey)) {
      const item = open.items[chosen.peek()];
      if (!item) return;
      event.preventDefault();
      take(item);
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      choices.value = null;
    }
  };
  const open = choices.value;
  return (
    <div class="field condition-field">
      <label for={id}>{words.condition}</label>
      <div class={`condition-box ${shownErrors.length > 0 ? 'has-errors' : ''}`}>
        <div class="condition-mirror" aria-hidden="true">
          {parts.map((part, index) => (
            <span key={index} class={part.mark === null ? '' : `is-${part.mark}`}>
              {part.text}
            </span>
          ))}
          {'\u200b'}
        </div>
        <textarea
          ref={area}
          id={id}
          rows={1}
          maxLength={512}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          readOnly={isReadOnly}
          aria-invalid={shownErrors.length > 0}
          aria-describedby={`${id}-notes`}
          aria-autocomplete="list"
          aria-controls={open === null ? undefined : `${id}-list`}
          aria-activedescendant={open === null ? undefined : `${id}-${chosen.value}`}
          value={value}
          onInput={(event) => {
            const text = event.currentTarget.value.replaceAll(/[\r\n]+/g, ' ');
            onChange(text);
            offer(text, event.currentTarget.selectionStart, false);
          }}
          onKeyDown={onKeyDown}
          onBlur={() => {
            choices.value = null;
          }}
        />
        {open !== null && (
          <div class="completions" id={`${id}-list`} role="listbox" aria-label={words.completions}>
            {open.items.map((item, index) => (
              <div
                key={item.text}
                id={`${id}-${index}`}
                role="option"
                tabIndex={-1}
                aria-selected={index === chosen.value}
                class={index === chosen.value ? 'is-chosen' : ''}
                onMouseDown={(event) => {
                  // The field keeps the keyboard.
                  event.preventDefault();
                  take(item);
                }}
              >
                <code>{item.text}</code>
                <span class="muted small">{item.detail || item.kind}</span>
              </div>
            ))}
          </div>
        )}
      </div>
      <p class="visually-hidden" aria-live="polite">
        {open !== null && words.completionCount(open.items.length)}
      </p>
      <div id={`${id}-notes`}>
        <Problems
          text={value}
          problems={[...shownErrors, ...notes]}
          errors={shownErrors.length}
          onMend={isReadOnly ? null : put}
        />
      </div>
    </div>
  );
}

function Problems({
  text,
  problems,
  errors,
  onMend,
}: {
  readonly text: string;
  readonly problems: readonly RuleProblem[];
  /** So many of them, the first ones, are mistakes; the others are perhaps not meant. */
  readonly errors: number;
  readonly onMend: ((text: string, cursor: number) => void) | null;
}) {
  if (problems.length === 0) return null;
  return (
    <ul class="condition-problems" aria-label={words.problems}>
      {problems.map((problem, index) => (
        <li key={`${problem.column} ${problem.code}`} class={index < errors ? 'tone-bad' : 'tone-warn'}>
          <Glyph tone={index < errors ? 'bad' : 'warn'} shape={index < errors ? 'square' : 'triangle'} />
          <span class="condition-message">
            {problem.message} <span class="muted small">({words.column(problem.column)})</span>
          </span>
          {problem.suggestion !== null && onMend !== null && (
            <Button
              isSmall
              onClick={() => {
                const { text: next, cursor } = mended(text, problem);
                onMend(next, cursor);
              }}
            >
              {words.use(problem.suggestion.trim())}
            </Button>
          )}
        </li>
      ))}
    </ul>
  );
}
