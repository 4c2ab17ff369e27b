/** Cards of a project's page from other slices: quotas, usage. One line each, in the order in which they are shown. */

import type { FunctionComponent } from 'preact';
import type { Project } from '#contract/projects.ts';
import { QuotaCard } from './quota-card.tsx';
import { UsageCard } from './usage-card.tsx';

export const PROJECT_CARDS: readonly FunctionComponent<{ readonly project: Project }>[] = [QuotaCard, UsageCard];
