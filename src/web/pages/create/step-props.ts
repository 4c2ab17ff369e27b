/** What every step of the wizard gets. */

import type { Draft } from './draft.ts';

export interface StepProps {
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
  readonly problemOfField: (path: string) => string | null;
}
