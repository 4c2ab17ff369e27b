/** The dialog that stands open on a page about backups; whatever offers actions puts its own here. */

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

export const backupDialog = signal<ComponentChildren | null>(null);

export function closeBackupDialog(): void {
  backupDialog.value = null;
}
