/** What is in a project, as the slices that own it tell, and the project as an object of policy. */

import type { FoundObject } from '#platform/feature.ts';
import type { ProjectRow } from './registry.ts';

/** What a slice tells of what projects own and may use. */
export interface ProjectContents {
  /** How many things of this slice a project has. */
  count(projectId: string): number;
  /** What keeps the project from being deleted, in words, as `2 VMs`; null when nothing does. */
  remaining(projectId: string): string | null;
  /** Whether something is called as if it were of the project with this number, as what was left of one of before. */
  isNumberUsed?(number: number): boolean;
}

export const projectObject = (row: ProjectRow): FoundObject => ({
  type: 'project',
  id: row.id,
  name: row.name,
  project: row.id,
});
