/** What stands where VMs would: how to get the first one, as far as one may. */

import { api, can, canEverywhere } from '../state/api.ts';
import { follow, showProblem } from '../state/operations.ts';
import { text } from '../text.ts';
import { Button, ButtonLink } from './button.tsx';
import { EmptyState } from './page.tsx';

const words = text.vms;

export function NoVms() {
  // The demo and what other programs make belong to no project: they are for those who may everywhere.
  const isEverywhere = canEverywhere('vm.create');
  return (
    <EmptyState
      icon="vm"
      title={words.emptyTitle}
      action={
        can('vm.create') && (
          <>
            <ButtonLink kind="primary" icon="plus" href="/vms/new">
              {words.createFirst}
            </ButtonLink>
            {isEverywhere && <Button onClick={() => void startDemo()}>{words.demo}</Button>}
          </>
        )
      }
    >
      {isEverywhere ? words.emptyNote : can('vm.create') ? words.emptyNoteInProject : words.emptyNoteToSee}
    </EmptyState>
  );
}

async function startDemo(): Promise<void> {
  try {
    const operation = await api('POST /system/demo');
    // None: somebody made a VM meanwhile, which appears by itself.
    if (operation) await follow(Promise.resolve(operation));
  } catch (error) {
    showProblem(error);
  }
}
