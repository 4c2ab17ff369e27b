/** One question about one user: may he, on this, and why? The daemon's own policy function answers. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { User } from '#contract/access.ts';
import { PERMISSIONS, type Permission } from '#contract/permissions.ts';
import { Field } from '../../components/form.tsx';
import { Card } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { AnswerMark } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { onReset } from '../../state/live.ts';
import { projects } from '../../state/projects.ts';
import { useRequest } from '../../state/use-request.ts';
import { vmList, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';

const words = text.access.rights;

export function AskRights({ user }: { readonly user: User }) {
  const permission = useSignal<Permission>('vm.power');
  const place = useSignal('');
  const answer = useSignal<{ readonly allow: boolean; readonly because: string } | null>(null);
  const request = useRequest();
  useEffect(() => {
    if (can('vm.read')) vms.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const [asked, on] = [permission.value, place.value];
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again for another question, and when rights changed
  useEffect(() => {
    const ask = () =>
      void request.run(async () => {
        const [kind = '', id = ''] = on.split(':');
        const query = {
          permission: asked,
          ...(kind === 'vm' ? { vm: id } : {}),
          ...(kind === 'project' ? { project: id } : {}),
        };
        answer.value = (await api('GET /users/{id}/rights', { params: { id: user.id }, query })).answer;
      });
    ask();
    return onReset(ask);
  }, [user.id, asked, on]);
  return (
    <Card title={words.askTitle}>
      <div class="form">
        <div class="form-row">
          <Field label={words.ask}>
            {(field) => (
              <select
                {...field}
                class="mono"
                value={permission.value}
                onChange={(event) => {
                  const next = PERMISSIONS.find((one) => one === event.currentTarget.value);
                  if (next) permission.value = next;
                }}
              >
                {PERMISSIONS.map((one) => (
                  <option key={one} value={one}>
                    {one}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label={words.askOn}>
            {(field) => (
              <select {...field} value={place.value} onChange={(event) => (place.value = event.currentTarget.value)}>
                <option value="">{text.access.wholeSystem}</option>
                <optgroup label={text.pages.projects}>
                  {(projects.data.value ?? []).map((project) => (
                    <option key={project.id} value={`project:${project.id}`}>
                      {project.name}
                    </option>
                  ))}
                </optgroup>
                <optgroup label={text.pages.vms}>
                  {vmList.value.map((vm) => (
                    <option key={vm.id} value={`vm:${vm.id}`}>
                      {vm.name}
                    </option>
                  ))}
                </optgroup>
              </select>
            )}
          </Field>
        </div>
        {request.problem.value && <ProblemBox isCompact problem={request.problem.value} />}
        <p class="answer" role="status">
          {answer.value && (
            <AnswerMark isYes={answer.value.allow}>
              <strong>{answer.value.allow ? words.yes : words.no}</strong> {answer.value.because}
            </AnswerMark>
          )}
        </p>
      </div>
    </Card>
  );
}
