/** Short messages about results. Good news leaves by itself; failures stay until they are read. */

import { signal } from '@preact/signals';
import type { Problem } from '#contract/common.ts';

export interface ToastLink {
  readonly href: string;
  readonly label: string;
}

export interface Toast {
  readonly id: number;
  readonly kind: 'good' | 'bad' | 'info';
  readonly title: string;
  readonly detail?: string;
  readonly problem?: Problem;
  readonly links?: readonly ToastLink[];
  readonly action?: { readonly label: string; readonly run: () => void };
}

export const toasts = signal<readonly Toast[]>([]);

const GOOD_NEWS_MS = 6000;
const WITH_ACTION_MS = 12_000;
const MOST_TOASTS = 4;
let lastId = 0;

/** Shows a message and returns its id. */
export function showToast(toast: Omit<Toast, 'id'>): number {
  lastId += 1;
  const id = lastId;
  toasts.value = [...toasts.value, { ...toast, id }].slice(-MOST_TOASTS);
  if (toast.kind !== 'bad') window.setTimeout(() => dismissToast(id), toast.action ? WITH_ACTION_MS : GOOD_NEWS_MS);
  return id;
}

export function dismissToast(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}
