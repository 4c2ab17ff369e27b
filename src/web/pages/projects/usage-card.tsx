/** What a project used, month by month; folded away, because it is looked at once a month. */

import { useMemo } from 'preact/hooks';
import type { Project } from '#contract/projects.ts';
import { Card, Loaded } from '../../components/page.tsx';
import { api } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { text } from '../../text.ts';
import { UsageTables } from './usage-table.tsx';

export function UsageCard({ project }: { readonly project: Project }) {
  const usage = useMemo(
    () => createResource(() => api('GET /projects/{id}/usage', { params: { id: project.id }, query: {} })),
    [project.id],
  );
  return (
    <Card>
      <details class="usage">
        <summary>{text.quotas.usageTitle}</summary>
        <Loaded resource={usage}>{(known) => <UsageTables usage={known} />}</Loaded>
      </details>
    </Card>
  );
}
