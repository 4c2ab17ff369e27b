/** The list of projects. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Project } from '#contract/projects.ts';
import { Button } from '../../components/button.tsx';
import { isSearched, SearchField } from '../../components/filters.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { grants } from '../../state/access.ts';
import { can, canEverywhere } from '../../state/api.ts';
import { projects } from '../../state/projects.ts';
import { navigate } from '../../state/router.ts';
import { text } from '../../text.ts';
import { ProjectDialog } from './project-dialog.tsx';
import { ProjectMenu } from './project-menu.tsx';
import './projects.css';
import '../security/security.css';

const words = text.projects;

function usesText({ number, resources }: Project): string {
  if (number === 0) return words.everything;
  const count = (type: string) => resources.filter((one) => one.type === type).length;
  return words.counts(count('network'), count('pool'), count('image'));
}

export function ProjectsPage() {
  const isCreating = useSignal(false);
  useEffect(() => {
    if (can('access.read')) grants.ensure();
  }, []);
  const members = (project: Project) =>
    (grants.data.value ?? []).filter(({ scope }) => scope === `project:${project.id}`);
  return (
    <>
      <PageHead title={text.pages.projects}>
        {canEverywhere('project.manage') && (
          <Button kind="primary" icon="plus" onClick={() => (isCreating.value = true)}>
            {words.create}
          </Button>
        )}
      </PageHead>
      <div class="filters">
        <SearchField label={words.search} />
      </div>
      <Loaded resource={projects} lines={6}>
        {(all) => {
          const shown = all.filter((project) => isSearched(`${project.name} ${project.title ?? ''}`));
          if (all.length === 0)
            return (
              <EmptyState icon="project" title={words.none}>
                {words.noneNote}
              </EmptyState>
            );
          if (shown.length === 0)
            return (
              <EmptyState icon="search" title={text.access.filtered}>
                {text.access.filteredNote}
              </EmptyState>
            );
          return (
            <div class="stack">
              <Card class="is-flush">
                <StackTable
                  rows={shown}
                  keyOf={(project) => project.id}
                  columns={[
                    {
                      head: words.name,
                      kind: 'title',
                      class: 'breaks',
                      cell: (project) => (
                        <>
                          <a href={`/projects/${project.id}`}>{project.name}</a>
                          {project.title && <span class="muted subtitle">{project.title}</span>}
                        </>
                      ),
                    },
                    { head: words.vms, kind: 'number', cell: (project) => project.vms },
                    ...(can('access.read')
                      ? [
                          {
                            head: words.members,
                            class: 'breaks',
                            cell: (project: Project) =>
                              members(project)
                                .map(({ subject }) => subject.name)
                                .join(', ') || text.unknownValue,
                          },
                        ]
                      : []),
                    { head: words.uses, class: 'breaks', cell: usesText },
                    { head: words.actions, kind: 'menu', cell: (project) => <ProjectMenu project={project} /> },
                  ]}
                />
              </Card>
              {all.length === 1 && all[0]?.number === 0 && canEverywhere('project.manage') && (
                <p class="muted">{words.onlyDefault}</p>
              )}
            </div>
          );
        }}
      </Loaded>
      {isCreating.value && (
        <ProjectDialog
          project={null}
          onClose={() => (isCreating.value = false)}
          onDone={(project) => navigate(`/projects/${project.id}?set=limits`)}
        />
      )}
    </>
  );
}
