/** Backups: how well VMs are protected, restore points, schedules, repositories and runs, each under its own address. */

import { useEffect } from 'preact/hooks';
import { Menu } from '../../components/menu.tsx';
import { PageHead, Tabs } from '../../components/page.tsx';
import { can, canEverywhere } from '../../state/api.ts';
import { openBackupWork } from '../../state/backups.ts';
import { operations } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { CopiesTab } from './copies-tab.tsx';
import { HostStateTab } from './host-state-tab.tsx';
import { PointsTab } from './points-tab.tsx';
import { ProtectionTab } from './protection-tab.tsx';
import { RepositoriesTab } from './repositories-tab.tsx';
import { RunsTab } from './runs-tab.tsx';
import { SchedulesTab } from './schedules-tab.tsx';
import './backups.css';

const words = backupsText.tabs;

const TABS = {
  protection: ProtectionTab,
  points: PointsTab,
  schedules: SchedulesTab,
  repositories: RepositoriesTab,
  copies: CopiesTab,
  runs: RunsTab,
  host: HostStateTab,
} as const;
const TAB_IDS = ['protection', 'points', 'schedules', 'repositories', 'copies', 'runs', 'host'] as const;

export function BackupsPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const shown = TAB_IDS.filter((id) => id !== 'host' || canEverywhere('backup.configure'));
  const current = shown.find((id) => id === params['tab']) ?? 'protection';
  const Tab = TABS[current];
  useEffect(() => closeBackupDialog, []);
  useEffect(() => {
    if (can('operation.read')) operations.ensure();
  }, []);
  const running = openBackupWork.value.length;
  return (
    <>
      <PageHead title={text.pages.backups}>
        <ReportMenu />
      </PageHead>
      <Tabs
        label={words.label}
        current={current}
        tabs={shown.map((id) => ({
          id,
          label:
            id === 'runs' && running > 0 ? (
              <>
                {words[id]} <span class="count">{running}</span>
              </>
            ) : (
              words[id]
            ),
          href: id === 'protection' ? '/backups' : `/backups/${id}`,
        }))}
      />
      <Tab />
      {backupDialog.value}
    </>
  );
}

const REPORT = '/api/v1/backup-report?format=';

/** What was backed up and proven in the last seven days. */
function ReportMenu() {
  const words = backupsText.report;
  return (
    <Menu
      label={words.open}
      triggerClass="button"
      trigger={<span>{words.open}</span>}
      entries={[
        { label: words.html, icon: 'external', run: () => window.open(`${REPORT}html`, '_blank', 'noopener') },
        { label: words.pdf, icon: 'download', run: () => download('pdf') },
        { label: words.json, icon: 'download', run: () => download('json') },
      ]}
    />
  );
}

function download(format: 'pdf' | 'json'): void {
  const link = document.createElement('a');
  link.href = `${REPORT}${format}`;
  link.download = `backups.${format}`;
  link.click();
}
