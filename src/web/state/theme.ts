/** Dark, light or as the system says; kept in this browser. */

import { effect, signal } from '@preact/signals';
import { readSetting, writeSetting } from './browser-settings.ts';

export const THEMES = ['system', 'dark', 'light'] as const;
export type Theme = (typeof THEMES)[number];

const saved = readSetting('theme');
export const theme = signal<Theme>(THEMES.find((candidate) => candidate === saved) ?? 'system');

const systemIsDark = window.matchMedia('(prefers-color-scheme: dark)');
export const isDark = signal(systemIsDark.matches);

/** Applies the choice to the document and follows the system. */
export function startTheme(): void {
  const update = () => {
    isDark.value = theme.value === 'system' ? systemIsDark.matches : theme.value === 'dark';
  };
  systemIsDark.addEventListener('change', update);
  effect(() => {
    if (theme.value === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme.value;
    writeSetting('theme', theme.value);
    update();
  });
}
