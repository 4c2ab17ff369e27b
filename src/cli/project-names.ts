/** The projects that the asker sees, for lists that have to tell things of one name apart. */

import { ApiProblem } from '#contract/client.ts';
import type { CommandContext } from './context.ts';
import { collect } from './objects.ts';
import type { Column } from './table.ts';
import { safeText } from './text.ts';
import { textOption } from './values.ts';

export const projectOption = textOption('PROJECT', 'name or id of the project', {
  completes: 'project',
  defaultText: 'default',
});
export const onlyProjectOption = textOption('PROJECT', 'only of this project', { completes: 'project' });

export interface ProjectNames {
  /** Whether there is more than one, so that a name alone may not tell. */
  readonly areSeveral: boolean;
  nameOf(id: string): string;
}

/** Only for telling things apart: where projects cannot be listed, their ids have to do. */
export async function projectNames({ api }: Pick<CommandContext, 'api'>): Promise<ProjectNames> {
  try {
    const projects = await collect((query) => api('GET /projects', { query }));
    const names = new Map(projects.map(({ id, name }) => [id, name]));
    return { areSeveral: names.size > 1, nameOf: (id) => names.get(id) ?? id };
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    return { areSeveral: false, nameOf: (id) => id };
  }
}

/** The columns with one for the project behind the first, where there are several. */
export function withProject<Row extends { readonly project: string }>(
  columns: readonly Column<Row>[],
  { areSeveral, nameOf }: ProjectNames,
): readonly Column<Row>[] {
  const project: Column<Row> = { title: 'PROJECT', value: (row) => safeText(nameOf(row.project)), flexibleTo: 7 };
  return areSeveral ? columns.toSpliced(1, 0, project) : columns;
}
