/** Fields of channels: what they are called, and how what is typed becomes what the daemon takes. Pure. */

import { alertsText } from '../../text-alerts.ts';

const words = alertsText.channels;

export const fieldTitle = (name: string): string => words.fieldNames[name] ?? name;

/** A kept setting as a text to show or to edit. */
export function settingText(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  return value === null || value === undefined ? '' : String(value);
}

/** Null = left to what is usual. */
export function settingValue(name: string, text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  if (name === 'to') return trimmed.split(/[\s,;]+/).filter(Boolean);
  if (name === 'threadId') return Number(trimmed);
  return trimmed;
}

/** Shown only on demand, although a kind has it. */
export const isAdvanced = (name: string, isRequired: boolean): boolean =>
  !isRequired && ['ca', 'nextSigningSecret', 'threadId', 'tag'].includes(name);
