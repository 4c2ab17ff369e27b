/** What can be done with a project, with the dialogs that it opens. */

import { useSignal } from '@preact/signals';
import type { Project } from '#contract/projects.ts';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { Menu } from '../../components/menu.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { projects } from '../../state/projects.ts';
import { navigate } from '../../state/router.ts';
import { text } from '../../text.ts';
import { ProjectDialog } from './project-dialog.tsx';

const words = text.projects;

export function ProjectMenu({ project }: { readonly project: Project }) {
  const open = useSignal<'edit' | 'delete' | null>(null);
  const close = () => (open.value = null);
  if (!canEverywhere('project.manage')) return null;
  const remove = async () => {
    try {
      await api('DELETE /projects/{id}', { params: { id: project.id } });
      await projects.reload();
      navigate('/projects');
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <>
      <Menu
        label={words.actionsFor(project.name)}
        entries={[
          { label: words.edit, icon: 'edit', run: () => (open.value = 'edit') },
          ...(project.number === 0
            ? []
            : [
                {
                  label: words.remove,
                  icon: 'trash' as const,
                  isDangerous: true,
                  startsGroup: true,
                  run: () => (open.value = 'delete'),
                },
              ]),
        ]}
      />
      {open.value === 'edit' && <ProjectDialog project={project} onClose={close} />}
      {open.value === 'delete' && (
        <ConfirmDialog
          title={words.deleteTitle(project.name)}
          action={words.deleteAction}
          typedName={project.name}
          onClose={close}
          onConfirm={() => void remove()}
        >
          <p>{words.deleteNote}</p>
        </ConfirmDialog>
      )}
    </>
  );
}
