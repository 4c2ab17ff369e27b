/** Families as text: the format 0.0.4 of Prometheus (prometheus.io/docs/instrumenting/exposition_formats) and OpenMetrics 1.0
 *  (prometheus.io/docs/specs/om/open_metrics_spec). */

import type { MetricFamily } from '#platform/feature.ts';

export type TextFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<TextFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** Comes after the last family. */
export const TEXT_END: Readonly<Record<TextFormat, string>> = { prometheus: '', openmetrics: '# EOF\n' };

const SPECIAL = /[\\"\n]/;
const escapeLabel = (value: string): string =>
  SPECIAL.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;

/** @param host label of samples that have none; null = leave them so. A sample with the labels of another of its family is left out:
 *  names that were cut may have become the same, and one such pair would make the whole page unreadable. */
export function renderFamilies(families: readonly MetricFamily[], format: TextFormat, host: string | null): string {
  let text = '';
  const own = host === null ? '' : `host="${escapeLabel(host)}"`;
  for (const family of families) {
    if (family.samples.length === 0) continue;
    text += headOf(family, format);
    const seen = new Set<string>();
    for (const { labels, value } of family.samples) {
      const inner = labelsText(labels, own);
      if (seen.has(inner)) continue;
      seen.add(inner);
      text += inner === '' ? `${family.name} ${value}\n` : `${family.name}{${inner}} ${value}\n`;
    }
  }
  return text;
}

function labelsText(labels: Readonly<Record<string, string>> | undefined, own: string): string {
  if (labels === undefined) return own;
  let text = '';
  let hasHost = false;
  for (const name in labels) {
    if (name === 'host') hasHost = true;
    text += `${text === '' ? '' : ','}${name}="${escapeLabel(labels[name] ?? '')}"`;
  }
  if (hasHost || own === '') return text;
  return text === '' ? own : `${own},${text}`;
}

/** OpenMetrics names a family without what its type adds to the samples' names. Its own type for sets of states wants the state in a label
 *  that is called as the family; then the label would depend on who asks, so they are gauges in both formats. */
function headOf({ name, type, help, unit }: MetricFamily, format: TextFormat): string {
  const line = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  if (format === 'prometheus')
    return `# HELP ${name} ${line}\n# TYPE ${name} ${type === 'counter' ? 'counter' : 'gauge'}\n`;
  const shown = type === 'state_set' ? 'gauge' : type;
  const base = type === 'counter' ? name.replace(/_total$/, '') : type === 'info' ? name.replace(/_info$/, '') : name;
  const unitLine = unit && base.endsWith(`_${unit}`) ? `# UNIT ${base} ${unit}\n` : '';
  return `# TYPE ${base} ${shown}\n${unitLine}# HELP ${base} ${line.replaceAll('"', '\\"')}\n`;
}

/** OpenMetrics where it is named and liked at least as much as plain text. @param accept the header; null = none */
export function formatFor(accept: string | null): TextFormat {
  let openMetrics = 0;
  let plain = 0;
  for (const part of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = part.split(';').map((word) => word.trim().toLowerCase());
    const quality = Number(parameters.find((word) => word.startsWith('q='))?.slice(2) ?? 1);
    if (!(quality > 0)) continue;
    if (type === 'application/openmetrics-text') openMetrics = Math.max(openMetrics, quality);
    if (type === 'text/plain') plain = Math.max(plain, quality);
  }
  return openMetrics > 0 && openMetrics >= plain ? 'openmetrics' : 'prometheus';
}
