/** Jobs of libvirt that run: also those that no operation of ours began. Nothing is shown while there are none. */

import { useEffect } from 'preact/hooks';
import type { LibvirtJob } from '#contract/libvirt-jobs.ts';
import { formatDuration } from '#kernel/units.ts';
import { bytesText, percentText } from '../../components/figures.tsx';
import { ProgressBar } from '../../components/operation-item.tsx';
import { Card } from '../../components/page.tsx';
import { libvirtJobs } from '../../state/operations.ts';
import { text } from '../../text.ts';

const words = text.operations.jobs;

export function JobsCard() {
  useEffect(() => libvirtJobs.ensure(), []);
  const jobs = [...(libvirtJobs.data.value?.values() ?? [])].sort((a, b) => a.name.localeCompare(b.name));
  if (jobs.length === 0) return null;
  return (
    <Card title={words.title}>
      <ul class="separated">
        {jobs.map((job) => (
          <Job key={job.id} job={job} />
        ))}
      </ul>
    </Card>
  );
}

function Job({ job }: { readonly job: LibvirtJob }) {
  const { id, name, kind, ratio, remainingBytes, elapsedMs, operationId } = job;
  const figures = [
    ratio !== null && percentText(ratio),
    remainingBytes !== null && words.left(bytesText(remainingBytes)),
    elapsedMs !== null && words.runsFor(formatDuration(elapsedMs)),
  ].filter((part) => part !== false);
  return (
    <li class="operation-item">
      <p>
        <a href={`/vms/${id}`}>{name}</a> {words.kinds[kind]}
      </p>
      <ProgressBar ratio={ratio} label={`${name} ${words.kinds[kind]}`} />
      <p class="muted small">
        {figures.join(' · ')} ·{' '}
        {operationId === null ? (
          words.ofAnother
        ) : (
          <a href={`/operations/${encodeURIComponent(operationId)}`}>{words.seeOperation}</a>
        )}
      </p>
    </li>
  );
}
