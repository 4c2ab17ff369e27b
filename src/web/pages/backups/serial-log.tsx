/** What the test VM printed on its serial port, as text only, with a search that steps from line to line. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { Proof } from '#contract/verification.ts';
import { Button } from '../../components/button.tsx';
import { bytesText } from '../../components/figures.tsx';
import { Icon } from '../../components/icon.tsx';
import { Card, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { fetchRaw, problemOf } from '../../state/api.ts';
import { backupsText } from '../../text-backups.ts';
import { type EvidenceFile, fileAddress, isLog } from './evidence-file.ts';

const words = backupsText.proof;

export function SerialLogs({ proof }: { readonly proof: Proof }) {
  const logs = proof.evidence.files.filter(isLog);
  if (logs.length === 0)
    return (
      <Card title={words.serial}>
        <p class="muted">{words.noSerial}</p>
      </Card>
    );
  return (
    <>
      {logs.map((file, index) => (
        <SerialLog key={file.name} proofId={proof.id} file={file} number={index + 1} isOnly={logs.length === 1} />
      ))}
    </>
  );
}

function SerialLog({
  proofId,
  file,
  number,
  isOnly,
}: {
  readonly proofId: string;
  readonly file: EvidenceFile;
  readonly number: number;
  readonly isOnly: boolean;
}) {
  const lines = useSignal<readonly string[] | null>(null);
  const problem = useSignal<Problem | null>(null);
  const wanted = useSignal('');
  const at = useSignal(0);
  const box = useRef<HTMLPreElement>(null);
  const href = fileAddress(proofId, file.name);
  useEffect(() => {
    const stop = new AbortController();
    fetchRaw(href, (response) => response.text(), stop.signal).then(
      (log) => {
        lines.value = log.replace(/\n$/, '').split('\n');
      },
      (error: unknown) => {
        if (!stop.signal.aborted) problem.value = problemOf(error);
      },
    );
    return () => stop.abort();
  }, [href, lines, problem]);
  const word = wanted.value.trim().toLowerCase();
  const hits =
    word === '' ? [] : (lines.value ?? []).flatMap((line, n) => (line.toLowerCase().includes(word) ? [n] : []));
  const show = (index: number) => {
    at.value = hits.length === 0 ? 0 : (index + hits.length) % hits.length;
    const line = box.current?.querySelector(`[data-line="${hits[at.value]}"]`);
    // Not scrollIntoView: that moves the page too.
    if (line instanceof HTMLElement && box.current)
      box.current.scrollTop = line.offsetTop - box.current.clientHeight / 2;
  };
  return (
    <Card
      class="serial-card"
      title={isOnly ? words.serial : words.serialOf(String(number))}
      aside={
        <>
          <span class="muted small mono">{bytesText(file.sizeBytes)}</span>
          <a class="button small" href={href} download={file.name}>
            <Icon name="download" />
            <span>{words.download}</span>
          </a>
        </>
      }
    >
      {problem.value && <ProblemBox isCompact problem={problem.value} />}
      {lines.value === null ? (
        !problem.value && <Skeleton lines={4} />
      ) : file.sizeBytes === 0 ? (
        <p class="muted">{words.noSerial}</p>
      ) : (
        <>
          <form
            class="serial-search"
            onSubmit={(event) => {
              event.preventDefault();
              show(at.value + 1);
            }}
          >
            <span class="filter-search">
              <Icon name="search" />
              <input
                type="search"
                aria-label={words.searchSerial}
                placeholder={words.searchSerial}
                autocomplete="off"
                spellcheck={false}
                value={wanted.value}
                onInput={(event) => {
                  wanted.value = event.currentTarget.value;
                  at.value = -1;
                }}
              />
            </span>
            {word !== '' && (
              <>
                <span class="muted small" aria-live="polite">
                  {words.hits(hits.length)}
                </span>
                <Button isSmall type="submit" icon="down" disabled={hits.length === 0}>
                  {words.nextHit}
                </Button>
              </>
            )}
          </form>
          <pre ref={box} class="serial-log" role="region" tabIndex={0} aria-label={words.serialOf(String(number))}>
            {lines.value.map((line, n) => (
              <Line key={n} line={line} number={n} word={word} isCurrent={hits[at.value] === n} />
            ))}
          </pre>
        </>
      )}
    </Card>
  );
}

function Line({
  line,
  number,
  word,
  isCurrent,
}: {
  readonly line: string;
  readonly number: number;
  readonly word: string;
  readonly isCurrent: boolean;
}) {
  const from = word === '' ? -1 : line.toLowerCase().indexOf(word);
  return (
    <span data-line={number} class={isCurrent ? 'is-current' : undefined}>
      {from < 0 ? (
        line
      ) : (
        <>
          {line.slice(0, from)}
          <mark>{line.slice(from, from + word.length)}</mark>
          {line.slice(from + word.length)}
        </>
      )}
      {'\n'}
    </span>
  );
}
