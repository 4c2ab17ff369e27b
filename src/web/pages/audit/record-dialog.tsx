/** One record of the audit log with all that is known of it, and its place in the chain. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Answer } from '#contract/api.ts';
import type { Problem } from '#contract/common.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Facts, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api, problemOf } from '../../state/api.ts';
import { text } from '../../text.ts';

const words = text.audit;

export function RecordDialog({ seq, onClose }: { readonly seq: number; readonly onClose: () => void }) {
  const shown = useSignal<Answer<'GET /audit/records/{id}'> | null>(null);
  const problem = useSignal<Problem | null>(null);
  useEffect(() => {
    api('GET /audit/records/{id}', { params: { id: String(seq) } }).then(
      (answer) => {
        shown.value = answer;
      },
      (error: unknown) => {
        problem.value = problemOf(error);
      },
    );
  }, [seq, shown, problem]);
  return (
    <Dialog title={words.recordTitle(seq)} isWide onClose={onClose}>
      {problem.value && <ProblemBox problem={problem.value} />}
      {shown.value ? <Details {...shown.value} /> : !problem.value && <Skeleton lines={8} />}
    </Dialog>
  );
}

const code = (value: string | null) => (value === null ? null : <code class="small breaks">{value}</code>);
const joined = (...parts: readonly (string | null)[]) => parts.filter(Boolean).join(' · ') || null;

function Details({ record, line, prev, isWhole, checkpointSeq }: Answer<'GET /audit/records/{id}'>) {
  const items: readonly (readonly [string, unknown])[] = [
    [words.when, <TimeAgo key="t" iso={record.at} />],
    [words.who, joined(record.actor, record.actorId, record.method)],
    [words.from, joined(record.via.replaceAll('_', ' '), record.address)],
    [words.what, code(record.action)],
    [
      words.outcome,
      joined(
        record.outcome ?? words.intent,
        record.code,
        record.durationMs === null ? null : `${record.durationMs} ms`,
      ),
    ],
    [words.object, joined(record.objectType, record.objectName, record.objectId)],
    [words.project, record.project],
    [words.allowedBy, joined(record.grant, record.permission)],
    [
      words.params,
      record.params === null ? null : <pre class="code-block small">{JSON.stringify(record.params, null, 2)}</pre>,
    ],
    [words.request, code(joined(record.requestId, record.operationId))],
  ];
  return (
    <>
      <Facts items={items.flatMap(([label, value]) => (value === null ? [] : [[label, value] as never]))} />
      <h3>{words.chain.title}</h3>
      <Facts
        items={[
          [
            words.chain.state,
            <span key="s">
              <Badge tone={isWhole ? 'good' : 'bad'}>{isWhole ? words.chain.stands : words.chain.changed}</Badge>{' '}
              <span class="muted">
                {checkpointSeq === null ? words.chain.notSigned : words.chain.signed(checkpointSeq)}
              </span>
            </span>,
          ],
          [words.chain.hash, code(record.hash)],
          [words.chain.prev, code(prev)],
          [
            words.chain.line,
            <span key="l" class="with-copy">
              <CopyButton value={line} />
            </span>,
          ],
        ]}
      />
    </>
  );
}
