/** How far an operation is: one line that is drawn again on a terminal, a line for each step elsewhere. */

import type { Operation } from '#contract/operations.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import type { Output } from './output.ts';
import { cutText, safeText, textWidth } from './text.ts';

const BAR_WIDTH = 20;
const REPORT_EVERY_MS = 10_000;
const SPINNER = ['◐', '◓', '◑', '◒'] as const;

export interface Amount {
  readonly title: string;
  /** As `2/5`, or null. */
  readonly step: string | null;
  /** 0 to 1, or null when the total is not known. */
  readonly ratio: number | null;
  readonly doneBytes: number | null;
  readonly totalBytes: number | null;
  readonly bytesPerSecond: number | null;
}

export interface Progress {
  update(amount: Amount): void;
  /** A message beside the progress. */
  say(text: string): void;
  /** Takes the line away. */
  end(): void;
}

/** What an operation's running step tells. */
export function amountOf(operation: Operation): Amount {
  const index = operation.steps.findIndex(({ state }) => state === 'running');
  const step = operation.steps[index];
  const { progress } = operation;
  const undo = operation.state === 'compensating' ? 'Undoing: ' : '';
  const note = progress?.note ? ` (${progress.note})` : '';
  return {
    title: safeText(`${undo}${operation.title}${step ? ` · ${step.title}` : ''}${note}`),
    step: step ? `${index + 1}/${operation.steps.length}` : null,
    ratio: progress?.ratio ?? null,
    doneBytes: progress?.doneBytes ?? null,
    totalBytes: progress?.totalBytes ?? null,
    bytesPerSecond: progress?.bytesPerSecond ?? null,
  };
}

/** Figures of an amount: `43 %  1.2 GiB of 4 GiB  85 MiB/s  12 s left`. */
export function figuresOf(amount: Amount): string {
  const { ratio, doneBytes, totalBytes, bytesPerSecond } = amount;
  const parts: string[] = [];
  if (ratio !== null) parts.push(`${Math.floor(ratio * 100)} %`);
  if (doneBytes !== null)
    parts.push(
      totalBytes === null ? formatBytes(doneBytes) : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`,
    );
  if (bytesPerSecond !== null) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (bytesPerSecond !== null && bytesPerSecond > 0 && doneBytes !== null && totalBytes !== null)
    parts.push(`${formatDuration(((totalBytes - doneBytes) / bytesPerSecond) * 1000)} left`);
  return parts.join('  ');
}

/** The line for a terminal `width` columns wide, with room for the `^C` that an interrupt writes. The bar gives way first,
 *  then the bytes, then the title. */
export function progressLine(amount: Amount, spinner: string, elapsedMs: number, width: number): string {
  const { ratio } = amount;
  const filled = ratio === null ? 0 : Math.round(ratio * BAR_WIDTH);
  const bar = ratio === null ? '' : `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} `;
  const figures = figuresOf(amount) || formatDuration(elapsedMs);
  const share = ratio === null ? figures : `${Math.floor(ratio * 100)} %`;
  const head = `${spinner} ${amount.title}${amount.step ? ` ${amount.step}` : ''}`;
  const room = width - 3;
  const wanted = Math.min(24, textWidth(head));
  const tail = [bar + figures, figures, share].find((each) => room - textWidth(each) - 2 >= wanted) ?? share;
  const headRoom = room - textWidth(tail) - 2;
  return headRoom >= 4 ? `${cutText(head, headRoom)}  ${tail}` : cutText(tail, room);
}

/** Progress on stderr. Nothing keeps the process alive once `end` is called. */
export function createProgress(output: Output): Progress {
  return output.messageWidth === null ? stepLines(output) : drawnLine(output);
}

function drawnLine(output: Output): Progress {
  const startedMs = performance.now();
  let latest: Amount | null = null;
  let turn = 0;
  const draw = () => {
    if (!latest) return;
    turn += 1;
    const spinner = SPINNER[turn % SPINNER.length] ?? '◐';
    const line = progressLine(latest, spinner, performance.now() - startedMs, output.messageWidth ?? 80);
    output.raw(`\r${line}\u001b[K`);
  };
  const timer = setInterval(draw, 250);
  return {
    update: (amount) => {
      const isFirst = latest === null;
      latest = amount;
      if (isFirst) draw();
    },
    say: (text) => {
      output.raw('\r\u001b[K');
      output.message(text);
    },
    end: () => {
      clearInterval(timer);
      if (latest) output.raw('\r\u001b[K');
      latest = null;
    },
  };
}

function stepLines(output: Output): Progress {
  let lastTitle = '';
  let lastFigures = '';
  let lastReportMs = performance.now();
  return {
    update: (amount) => {
      const title = `${amount.title}${amount.step ? ` ${amount.step}` : ''}`;
      const figures = figuresOf(amount);
      const now = performance.now();
      const isDue = figures !== lastFigures && now - lastReportMs >= REPORT_EVERY_MS;
      // An operation that has not begun a step tells nothing yet.
      if ((title === lastTitle && !isDue) || (amount.step === null && figures === '')) return;
      output.message(figures ? `${title}  ${figures}` : title);
      lastTitle = title;
      lastFigures = figures;
      lastReportMs = now;
    },
    say: output.message,
    end: () => undefined,
  };
}
