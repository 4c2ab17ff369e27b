/** The evidence of one proof: how far it came and why it ended so, what the guest showed and printed, and how fast it was beside others. */

import { useEffect, useMemo } from 'preact/hooks';
import type { Proof } from '#contract/verification.ts';
import { formatDuration } from '#kernel/units.ts';
import { verdictGlyph } from '../../components/backup-marks.tsx';
import { Button, ButtonLink } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { bytesText, ExactTime, TimeAgo } from '../../components/figures.tsx';
import { Card, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { proofs } from '../../state/backups.ts';
import { createResource } from '../../state/collection.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { BootTrend } from './boot-trend.tsx';
import { FilesystemChecks } from './filesystem-checks.tsx';
import { momentText } from './moment.ts';
import { Pictures } from './pictures.tsx';
import { ProofList } from './proof-list.tsx';
import { ProofRungs } from './proof-rungs.tsx';
import { SerialLogs } from './serial-log.tsx';
import { pointPath, proveNow } from './vm-backup-actions.tsx';
import './backups.css';

const words = backupsText.proof;

export function ProofPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  const proof = useMemo(() => createResource(() => api('GET /proofs/{id}', { params: { id } })), [id]);
  useEffect(() => proofs.ensure(), []);
  return (
    <>
      <p class="back">
        <a href="/backups/points">{words.back}</a>
      </p>
      <Loaded resource={proof}>{(found) => <Shown proof={found} />}</Loaded>
    </>
  );
}

function Shown({ proof }: { readonly proof: Proof }) {
  return (
    <>
      <PageHead
        title={words.title(proof.vmName)}
        note={
          <>
            <TimeAgo iso={proof.finishedAt} />
            {proof.pointTime !== null && proof.pointId !== null && (
              <>
                {' · '}
                <a href={pointPath(proof.pointId)}>{momentText(proof.pointTime)}</a>
              </>
            )}
          </>
        }
      >
        {can('backup.verify') && proof.pointId !== null && (
          <Button icon="check" onClick={() => proveNow(proof, proof.pointId)}>
            {words.again}
          </Button>
        )}
        <ButtonLink href={`/vms/${proof.vmId}/backups`}>{proof.vmName}</ButtonLink>
      </PageHead>
      <div class="stack">
        <Verdict proof={proof} />
        <div class="proof-columns">
          <div class="stack">
            <Card title={words.rungs}>
              <ProofRungs proof={proof} />
            </Card>
            {can('backup.verify') ? (
              <>
                <Pictures proof={proof} />
                <SerialLogs proof={proof} />
              </>
            ) : (
              <Card>
                <p class="muted">{words.mayNot}</p>
              </Card>
            )}
            <OnDisks proof={proof} />
            <FilesystemChecks checks={proof.evidence.filesystems} />
          </div>
          <div class="stack">
            <Card title={words.trend}>
              <BootTrend vmId={proof.vmId} vmName={proof.vmName} current={proof.id} />
            </Card>
            <Card title={words.guest}>
              <Guest proof={proof} />
            </Card>
            <Card title={words.conditions}>
              <Conditions proof={proof} />
            </Card>
            <Card title={words.others}>
              <ProofList fits={({ vmId }) => vmId === proof.vmId} none="" current={proof.id} />
            </Card>
          </div>
        </div>
      </div>
    </>
  );
}

function Verdict({ proof }: { readonly proof: Proof }) {
  const [tone, shape] = verdictGlyph(proof.verdict);
  return (
    <section class={`card verdict is-${proof.verdict}`}>
      <span class={`tone-${tone}`}>
        <Glyph tone={tone} shape={shape} />
      </span>
      <div>
        <p class="verdict-title">{words.verdict[proof.verdict]}</p>
        <p>
          {proof.text} {proof.recoverySeconds !== null && words.recovered(formatDuration(proof.recoverySeconds * 1000))}
        </p>
        {proof.verdict !== 'pass' && <p class="muted">{proof.hint}</p>}
      </div>
    </section>
  );
}

function OnDisks({ proof }: { readonly proof: Proof }) {
  const { disks } = proof.evidence;
  if (disks.length === 0) return null;
  return (
    <Card class="is-flush" title={words.found}>
      <StackTable
        rows={disks}
        keyOf={({ target }) => target}
        columns={[
          { head: backupsText.point.target, kind: 'title', class: 'mono', cell: ({ target }) => target },
          { head: backupsText.point.size, kind: 'number', cell: ({ sizeBytes }) => bytesText(sizeBytes) },
          {
            head: words.found,
            class: 'breaks',
            isSelfEvident: true,
            cell: ({ structure }) => structure || <span class="muted">{words.nothingFound}</span>,
          },
        ]}
      />
    </Card>
  );
}

function Guest({ proof }: { readonly proof: Proof }) {
  const { hostname, os, machineId, probe } = proof.evidence.guest;
  const items = [
    ...(hostname === null ? [] : [[words.hostname, <code key="h">{hostname}</code>] as const]),
    ...(os === null ? [] : [[words.os, os] as const]),
    ...(machineId === null ? [] : [[words.machineId, <code key="m">{machineId.slice(0, 16)}</code>] as const]),
    ...(probe === null ? [] : [[words.probe, <code key="p">{probe}</code>] as const]),
  ];
  return items.length === 0 ? <p class="muted">{words.noAnswer}</p> : <Facts items={items} />;
}

function Conditions({ proof }: { readonly proof: Proof }) {
  const { host, data, notes } = proof.evidence;
  return (
    <>
      <Facts
        items={[
          [words.began, <ExactTime key="b" iso={proof.startedAt} />],
          [words.took, formatDuration(Date.parse(proof.finishedAt) - Date.parse(proof.startedAt))],
          [words.accel, words.accels[host.accel]],
          [words.qemu, host.qemu ?? text.unknownValue],
          [words.load, host.load.toFixed(2)],
          [words.network, host.networkNote ?? words.networks[host.network]],
          [
            words.point,
            [
              words.data(bytesText(data.checkedBytes)),
              ...(data.checkedAt === null ? [] : [`${words.oldest} ${momentText(data.checkedAt)}`]),
            ].join('; '),
          ],
          [
            words.digest,
            <span key="d" class="with-copy">
              <code class="digest">{proof.evidenceDigest}</code>
              <CopyButton value={proof.evidenceDigest} />
            </span>,
          ],
        ]}
      />
      {notes.length > 0 && (
        <>
          <h3 class="card-line">{words.notes}</h3>
          <ul class="plain-list small muted">
            {notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
