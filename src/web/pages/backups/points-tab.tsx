/** All restore points, newest first, by VM and repository; older ones on demand. */

import { useEffect } from 'preact/hooks';
import type { RestorePoint } from '#contract/backups.ts';
import { Button } from '../../components/button.tsx';
import { ChoiceFilter } from '../../components/filters.tsx';
import { Card, EmptyState, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api } from '../../state/api.ts';
import { postures, proofs, repositories, retention } from '../../state/backups.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { usePages } from '../../state/use-pages.ts';
import { backupsText } from '../../text-backups.ts';
import { PointTable } from './point-table.tsx';

const words = backupsText.points;

export function PointsTab() {
  useEffect(() => {
    postures.ensure();
    proofs.ensure();
    repositories.ensure();
    retention.ensure();
  }, []);
  const query = currentQuery.value;
  const vm = query.get('vm');
  const repository = query.get('repository');
  const { items, next, problem, isLoading, load } = usePages<RestorePoint>({
    asked: `${vm} ${repository}`,
    read: (page) => {
      const asked = currentQuery.peek();
      return api('GET /restore-points', {
        query: { ...page, vm: asked.get('vm') ?? undefined, repository: asked.get('repository') ?? undefined },
      });
    },
    event: 'backup.changed',
  });
  const isFiltered = vm !== null || repository !== null;
  return (
    <>
      <div class="filters">
        <VmFilter />
        {(repositories.data.value?.length ?? 0) > 1 && (
          <ChoiceFilter
            name="repository"
            label={words.repository}
            any={words.anyRepository}
            choices={repositories.data.value ?? []}
          />
        )}
        {isFiltered && (
          <Button kind="quiet" icon="close" onClick={() => setQuery({ vm: null, repository: null })}>
            {backupsText.clearFilters}
          </Button>
        )}
      </div>
      {problem.value && <ProblemBox problem={problem.value} onRetry={() => void load(null)} />}
      {items.value === null ? (
        !problem.value && <Skeleton lines={8} />
      ) : items.value.length === 0 ? (
        <EmptyState icon="shield" title={isFiltered ? words.noneFits : words.none}>
          {!isFiltered && words.noneNote}
        </EmptyState>
      ) : (
        <Card class="is-flush">
          <PointTable points={items.value} from={repository} />
        </Card>
      )}
      {next.value !== null && (
        <p class="more-button">
          <Button isBusy={isLoading.value} onClick={() => void load(next.value)}>
            {backupsText.more}
          </Button>
        </p>
      )}
    </>
  );
}

/** VMs that are there and those that left restore points behind. */
function VmFilter() {
  const known = postures.data.value;
  const vms = [
    ...(known?.vms ?? []).filter(({ points }) => points > 0).map(({ vmId, vmName }) => ({ id: vmId, name: vmName })),
    ...(known?.orphans ?? []).map(({ vmId, vmName }) => ({ id: vmId, name: words.gone(vmName) })),
  ].toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  return <ChoiceFilter name="vm" label={words.ofVm} any={words.anyVm} choices={vms} />;
}
