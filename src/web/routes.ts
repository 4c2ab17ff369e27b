/** The list of pages: one line each. A page is loaded when it is first opened; those with an icon stand in the navigation. */

import type { FunctionComponent } from 'preact';
import type { Permission } from '#contract/permissions.ts';
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
  {
    path: '/',
    title: pages.overview,
    icon: 'overview',
    letter: 'o',
    load: async () => (await import('./pages/overview/overview-page.tsx')).OverviewPage,
  },
  {
    path: '/vms',
    title: pages.vms,
    icon: 'vm',
    letter: 'v',
    permission: 'vm.read',
    load: async () => (await import('./pages/vms/vms-page.tsx')).VmsPage,
  },
  {
    path: '/vms/new',
    title: pages.create,
    permission: 'vm.create',
    load: async () => (await import('./pages/create/create-page.tsx')).CreatePage,
  },
  {
    path: '/vms/:id',
    title: pages.vm,
    permission: 'vm.read',
    load: async () => (await import('./pages/vm/vm-page.tsx')).VmPage,
  },
  {
    path: '/vms/:id/:tab',
    title: pages.vm,
    permission: 'vm.read',
    load: async () => (await import('./pages/vm/vm-page.tsx')).VmPage,
  },
  {
    path: '/consoles/:id/:kind',
    title: pages.console,
    permission: 'vm.screen',
    isBare: true,
    load: async () => (await import('./pages/console/console-page.tsx')).ConsolePage,
  },
  {
    path: '/images',
    title: pages.images,
    icon: 'image',
    letter: 'i',
    permission: 'image.read',
    load: async () => (await import('./pages/images/images-page.tsx')).ImagesPage,
  },
  {
    path: '/images/:tab',
    title: pages.images,
    permission: 'image.read',
    load: async () => (await import('./pages/images/images-page.tsx')).ImagesPage,
  },
  {
    path: '/backups',
    title: pages.backups,
    icon: 'shield',
    letter: 'b',
    permission: 'backup.read',
    load: async () => (await import('./pages/backups/backups-page.tsx')).BackupsPage,
  },
  {
    path: '/backups/:tab',
    title: pages.backups,
    permission: 'backup.read',
    load: async () => (await import('./pages/backups/backups-page.tsx')).BackupsPage,
  },
  {
    path: '/backups/points/:id',
    title: pages.point,
    permission: 'backup.read',
    load: async () => (await import('./pages/backups/point-page.tsx')).PointPage,
  },
  {
    path: '/backups/points/:id/files',
    title: pages.point,
    permission: 'backup.files',
    load: async () => (await import('./pages/backups/files-page.tsx')).FilesPage,
  },
  {
    path: '/backups/proofs/:id',
    title: pages.proof,
    permission: 'backup.read',
    load: async () => (await import('./pages/backups/proof-page.tsx')).ProofPage,
  },
  {
    path: '/backups/runs/:id',
    title: pages.run,
    permission: 'backup.read',
    load: async () => (await import('./pages/backups/run-page.tsx')).RunPage,
  },
  {
    path: '/operations',
    title: pages.operations,
    icon: 'operations',
    letter: 'p',
    permission: 'operation.read',
    load: async () => (await import('./pages/operations/operations-page.tsx')).OperationsPage,
  },
  {
    path: '/operations/:id',
    title: pages.operation,
    permission: 'operation.read',
    load: async () => (await import('./pages/operations/operation-page.tsx')).OperationPage,
  },
  {
    path: '/graphs',
    title: pages.metrics,
    icon: 'metrics',
    letter: 'm',
    permission: 'metrics.read',
    load: async () => (await import('./pages/metrics/metrics-page.tsx')).MetricsPage,
  },
  {
    path: '/graphs/:tab',
    title: pages.metrics,
    permission: 'metrics.read',
    load: async () => (await import('./pages/metrics/metrics-page.tsx')).MetricsPage,
  },
  {
    path: '/alerts',
    title: pages.alerts,
    icon: 'alert',
    letter: 'l',
    permission: 'alert.read',
    load: async () => (await import('./pages/alerts/alerts-page.tsx')).AlertsPage,
  },
  {
    path: '/alerts/:tab',
    title: pages.alerts,
    permission: 'alert.read',
    load: async () => (await import('./pages/alerts/alerts-page.tsx')).AlertsPage,
  },
  {
    path: '/alerts/active/:id',
    title: pages.alert,
    permission: 'alert.read',
    load: async () => (await import('./pages/alerts/alert-page.tsx')).AlertPage,
  },
  {
    path: '/alerts/rules/:id',
    title: pages.alertRule,
    permission: 'alert.read',
    load: async () => (await import('./pages/alerts/rule-page.tsx')).RulePage,
  },
  {
    path: '/networks',
    title: pages.networks,
    icon: 'network',
    letter: 'n',
    permission: 'network.read',
    startsGroup: true,
    load: async () => (await import('./pages/networks/networks-page.tsx')).NetworksPage,
  },
  {
    path: '/storage',
    title: pages.storage,
    icon: 'storage',
    letter: 's',
    permission: 'storage.read',
    load: async () => (await import('./pages/storage/storage-page.tsx')).StoragePage,
  },
  {
    path: '/trash',
    title: pages.trash,
    icon: 'trash',
    letter: 't',
    permission: 'vm.read',
    load: async () => (await import('./pages/trash/trash-page.tsx')).TrashPage,
  },
  {
    path: '/projects',
    title: pages.projects,
    icon: 'project',
    letter: 'j',
    permission: 'project.read',
    load: async () => (await import('./pages/projects/projects-page.tsx')).ProjectsPage,
  },
  {
    path: '/projects/:id',
    title: pages.project,
    permission: 'project.read',
    load: async () => (await import('./pages/projects/project-page.tsx')).ProjectPage,
  },
  {
    path: '/hosts',
    title: pages.hosts,
    icon: 'host',
    letter: 'h',
    permission: 'host.read',
    startsGroup: true,
    load: async () => (await import('./pages/hosts/hosts-page.tsx')).HostsPage,
  },
  {
    path: '/health',
    title: pages.health,
    icon: 'health',
    letter: 'l',
    permission: 'host.read',
    load: async () => (await import('./pages/health/health-page.tsx')).HealthPage,
  },
  {
    path: '/audit',
    title: pages.audit,
    icon: 'audit',
    letter: 'a',
    permission: 'audit.read',
    load: async () => (await import('./pages/audit/audit-page.tsx')).AuditPage,
  },
  {
    path: '/settings',
    title: pages.settings,
    icon: 'settings',
    letter: 'e',
    load: async () => (await import('./pages/settings/settings-page.tsx')).SettingsPage,
  },
  {
    path: '/settings/security',
    title: pages.account,
    load: async () => (await import('./pages/security/security-page.tsx')).SecurityPage,
  },
  {
    path: '/settings/security/:section',
    title: pages.settings,
    load: async () => (await import('./pages/security/security-page.tsx')).SecurityPage,
  },
  {
    path: '/settings/security/users/:id',
    title: pages.user,
    permission: 'access.read',
    load: async () => (await import('./pages/security/user-page.tsx')).UserPage,
  },
];

export const navigationPages: readonly Page[] = routes.filter((page) => page.icon !== undefined);
