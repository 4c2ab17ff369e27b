/** Makes and edits a project: its name, and what of the system it may use. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Project, ResourceType } from '#contract/projects.ts';
import { Check } from '../../components/form.tsx';
import { NameField, SaveDialog, TitleField } from '../../components/save-dialog.tsx';
import { api, can, fieldProblem } from '../../state/api.ts';
import { images, networks, pools } from '../../state/library.ts';
import { projects } from '../../state/projects.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';

const words = text.projects;
const TYPES = ['network', 'pool', 'image'] as const;
const DEFAULT_NETWORK = 'default';

interface Offer {
  readonly type: ResourceType;
  readonly id: string;
  readonly name: string;
  /** New projects get it unless told otherwise. */
  readonly isUsual: boolean;
}

const keyOf = ({ type, id }: { readonly type: ResourceType; readonly id: string }) => `${type} ${id}`;

/** What can be given; an image that everybody may use, or that is the project's own, need not be. */
function offers(projectId: string | null): readonly Offer[] {
  return [
    ...(networks.data.value ?? []).map(({ id, name }) => ({
      type: 'network' as const,
      id,
      name,
      isUsual: name === DEFAULT_NETWORK,
    })),
    ...(pools.data.value ?? []).map(({ id, name, isDefault }) => ({
      type: 'pool' as const,
      id,
      name,
      isUsual: isDefault,
    })),
    ...[...(images.data.value?.values() ?? [])]
      .filter((image) => !image.isShared && image.project !== projectId)
      .map(({ id, name }) => ({ type: 'image' as const, id, name, isUsual: false })),
  ];
}

/** @param project null = a new one */
export function ProjectDialog({
  project,
  onClose,
  onDone,
}: {
  readonly project: Project | null;
  readonly onClose: () => void;
  readonly onDone?: (project: Project) => void;
}) {
  const name = useSignal(project?.name ?? '');
  const title = useSignal(project?.title ?? '');
  /** What was chosen by hand; null = as it is, or what is usual for a new one. */
  const picked = useSignal<ReadonlySet<string> | null>(null);
  const request = useRequest();
  useEffect(() => {
    if (can('network.read')) networks.ensure();
    if (can('storage.read')) pools.ensure();
    if (can('image.read')) images.ensure();
  }, []);
  const isDefault = project?.number === 0;
  const known = offers(project?.id ?? null);
  const chosen =
    picked.value ?? new Set(project ? project.resources.map(keyOf) : known.filter((one) => one.isUsual).map(keyOf));
  const save = async () => {
    // What this page does not know, as a pool that is away, stays as it is.
    const unknown = (project?.resources ?? []).filter((one) => !known.some((offer) => keyOf(offer) === keyOf(one)));
    const resources = [
      ...unknown,
      ...known.filter((one) => chosen.has(keyOf(one))).map(({ type, id }) => ({ type, id })),
    ];
    const saved = project
      ? await api('PATCH /projects/{id}', {
          params: { id: project.id },
          body: {
            ...(isDefault ? {} : { name: name.value.trim(), resources }),
            title: title.value.trim() || null,
          },
        })
      : await api('POST /projects', {
          body: { name: name.value.trim(), resources, ...(title.value.trim() ? { title: title.value.trim() } : {}) },
        });
    await projects.reload();
    onDone?.(saved);
  };
  const toggle = (key: string, isOn: boolean) => {
    const next = new Set(chosen);
    if (isOn) next.add(key);
    else next.delete(key);
    picked.value = next;
  };
  const problem = request.problem.value;
  return (
    <SaveDialog
      title={project ? words.editTitle(project.name) : words.createTitle}
      action={project ? words.save : words.create}
      request={request}
      onSave={save}
      onClose={onClose}
      lead={isDefault && <p class="muted">{words.defaultNote}</p>}
    >
      {!isDefault && (
        <NameField label={words.name} hint={words.nameHint} problem={fieldProblem(problem, 'name')} value={name} />
      )}
      <TitleField label={words.title} problem={fieldProblem(problem, 'title')} value={title} />
      {!isDefault && (
        <div class="resources">
          <h3>{words.resources}</h3>
          {TYPES.map((type) => {
            const offered = known.filter((one) => one.type === type);
            return (
              <fieldset key={type} class="resource-list">
                <legend class="muted small">{words.resourceKinds[type]}</legend>
                {offered.map((one) => (
                  <Check
                    key={one.id}
                    label={<span class="mono">{one.name}</span>}
                    checked={chosen.has(keyOf(one))}
                    onChange={(isOn) => toggle(keyOf(one), isOn)}
                  />
                ))}
                {offered.length === 0 && <p class="muted small">{words.noResources[type]}</p>}
              </fieldset>
            );
          })}
          <p class="muted small">{words.resourcesNote}</p>
        </div>
      )}
    </SaveDialog>
  );
}
