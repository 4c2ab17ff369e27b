/** The list of pages: one line each. A page is loaded when it is first opened; those with an icon stand in the navigation. */

import type { Permission } from '#contract/permissions.ts';
import type { FunctionComponent } from 'preact';
import type { IconName } from './components/icon.tsx';
import { text } from './text.ts';

export type PageComponent = FunctionComponent<{ readonly params: Readonly<Record<string, string>> }>;

export interface Page {
  /** As `/vms/:id`. */
  readonly path: string;
  readonly title: string;
  readonly load: () => Promise<PageComponent>;
  readonly icon?: IconName;
  /** `g` and this letter open it. */
  readonly letter?: string;
  /** Without it the page is not offered. */
  readonly permission?: Permission;
  /** Begins a new group in the side bar. */
  readonly startsGroup?: boolean;
  /** Fills the window without navigation. */
  readonly isBare?: boolean;
}

const { pages } = text;

export const routes: readonly Page[] = [
  { path: '/', title: pages.overview, icon: 'overview', letter: 'o', load: async () => (await import('./pages/overview/overview-page.tsx')).OverviewPage },
  { path: '/vms', title: pages.vms, icon: 'vm', letter: 'v', permission: 'vm.read', load: async () => (await import('./pages/vms/vms-page.tsx')).VmsPage },
];

export const navigationPages: readonly Page[] = routes.filter((page) => page.icon !== undefined);
