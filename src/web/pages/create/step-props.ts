/** What every step of the wizard gets. */

import type { Project } from '#contract/projects.ts';
import type { Draft } from './draft.ts';

export interface StepProps {
  readonly draft: Draft;
  /** Where the VM goes; null until it is known. */
  readonly project: Project | null;
  /** Where the user may create VMs. */
  readonly creatable: readonly Project[];
  readonly change: (part: Partial<Draft>) => void;
  readonly problemOfField: (path: string) => string | null;
}
