/** What goes on now with backups: how far, how fast, how long, and how to stop it. */

import type { Operation } from '#contract/operations.ts';
import { OperationItem } from '../../components/operation-item.tsx';
import { Card } from '../../components/page.tsx';

export function WorkCard({ title, work }: { readonly title: string; readonly work: readonly Operation[] }) {
  return (
    <Card title={title}>
      <div class="separated" aria-live="polite">
        {work.map((operation) => (
          <OperationItem key={operation.id} operation={operation} />
        ))}
      </div>
    </Card>
  );
}
