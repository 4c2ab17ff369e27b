/** One project: what it may use, its members and VMs; slices with more to tell about a project add cards. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Project, ResourceType } from '#contract/projects.ts';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { VmStateMark } from '../../components/state-mark.tsx';
import { grants } from '../../state/access.ts';
import { can } from '../../state/api.ts';
import { images, networks, pools } from '../../state/library.ts';
import { projects } from '../../state/projects.ts';
import { vmList, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { GrantDialog } from '../security/grant-dialog.tsx';
import { GrantTable } from '../security/grant-table.tsx';
import { PROJECT_CARDS } from './project-cards.ts';
import { ProjectMenu } from './project-menu.tsx';
import './projects.css';
import '../security/security.css';

const words = text.projects;

export function ProjectPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  return (
    <Loaded resource={projects} lines={6}>
      {(all) => {
        const project = all.find((one) => one.id === id) ?? all.find((one) => one.name === id);
        if (project) return <ProjectView key={project.id} project={project} />;
        return (
          <EmptyState icon="project" title={words.gone} action={<a href="/projects">{words.back}</a>}>
            {words.goneNote}
          </EmptyState>
        );
      }}
    </Loaded>
  );
}

function ProjectView({ project }: { readonly project: Project }) {
  useEffect(() => {
    if (can('vm.read')) vms.ensure();
    if (can('network.read')) networks.ensure();
    if (can('storage.read')) pools.ensure();
    if (can('image.read')) images.ensure();
  }, []);
  const isDefault = project.number === 0;
  return (
    <>
      <PageHead title={project.name} note={project.title}>
        <ProjectMenu project={project} />
      </PageHead>
      <div class="stack">
        <div class="columns">
          <Card title={words.resources}>
            {isDefault ? (
              <p class="muted">{words.defaultNote}</p>
            ) : (
              <Facts
                items={(['network', 'pool', 'image'] as const).map((type) => [
                  words.resourceKinds[type],
                  namesOf(project, type).map((name) => (
                    <code key={name} class="resource">
                      {name}
                    </code>
                  )),
                ])}
              />
            )}
          </Card>
          <Card>
            <Facts
              items={[
                [words.prefix, isDefault ? words.noPrefix : <code key="p">p{project.number}-…</code>],
                [words.made, <TimeAgo key="t" iso={project.createdAt} />],
                [words.id, <code key="i">{project.id}</code>],
              ]}
            />
          </Card>
        </div>
        {PROJECT_CARDS.map((ProjectCard) => (
          <ProjectCard key={ProjectCard.name} project={project} />
        ))}
        {can('access.read', project.id) && <MembersCard project={project} />}
        {can('vm.read', project.id) && <VmsCard project={project} />}
      </div>
    </>
  );
}

/** Names of what it may use; what is not there any more by its id. */
function namesOf(project: Project, type: ResourceType): readonly string[] {
  const known: readonly { readonly id: string; readonly name: string }[] = {
    network: networks.data.value ?? [],
    pool: pools.data.value ?? [],
    image: [...(images.data.value?.values() ?? [])],
  }[type];
  const names = project.resources
    .filter((one) => one.type === type)
    .map(({ id }) => known.find((one) => one.id === id)?.name ?? id);
  return names.length > 0 ? names : [text.unknownValue];
}

function MembersCard({ project }: { readonly project: Project }) {
  const isAdding = useSignal(false);
  const scope = `project:${project.id}`;
  const mayAdd = can('access.manage', project.id);
  return (
    <Card
      class="is-flush"
      title={words.members}
      aside={
        mayAdd && (
          <Button isSmall icon="plus" onClick={() => (isAdding.value = true)}>
            {words.addMember}
          </Button>
        )
      }
    >
      <Loaded resource={grants}>
        {(all) => {
          const shown = all.filter((grant) => grant.scope === scope);
          return shown.length === 0 ? (
            <EmptyState icon="users" title={words.noMembers}>
              {words.noMembersNote}
            </EmptyState>
          ) : (
            <GrantTable rows={shown} isOfOnePlace />
          );
        }}
      </Loaded>
      {isAdding.value && <GrantDialog place={scope} onClose={() => (isAdding.value = false)} />}
    </Card>
  );
}

function VmsCard({ project }: { readonly project: Project }) {
  const shown = vmList.value.filter((vm) => vm.project === project.id).toSorted((a, b) => a.name.localeCompare(b.name));
  return (
    <Card class="is-flush" title={words.vms}>
      {shown.length === 0 ? (
        <EmptyState icon="vm" title={words.noVms}>
          {words.noVmsNote}
        </EmptyState>
      ) : (
        <StackTable
          rows={shown}
          keyOf={(vm) => vm.id}
          columns={[
            {
              head: words.name,
              kind: 'title',
              class: 'breaks',
              cell: (vm) => <a href={`/vms/${vm.id}`}>{vm.name}</a>,
            },
            { head: words.state, isSelfEvident: true, cell: (vm) => <VmStateMark vm={vm} /> },
            { head: text.fields.vcpus, kind: 'number', cell: (vm) => vm.vcpus },
          ]}
        />
      )}
    </Card>
  );
}
