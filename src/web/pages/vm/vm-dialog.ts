/** The dialog that stands open on the VM's page; tabs and the head put theirs here. */

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

export const vmDialog = signal<ComponentChildren | null>(null);

export function closeVmDialog(): void {
  vmDialog.value = null;
}
