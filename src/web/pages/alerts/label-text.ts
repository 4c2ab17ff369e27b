/** Labels as people write them in one field: `team=shop, tier=1`; `!=` where a label must not be so. Pure. */

export interface LabelMatch {
  readonly label: string;
  readonly value: string;
  readonly isNot: boolean;
}

/** Null when a part is not `name=value`. */
export function parseLabels(text: string): readonly LabelMatch[] | null {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);
  const found = parts.map((part) => /^([A-Za-z_][A-Za-z0-9_]{0,63})\s*(!?)=\s*(\S.*)$/.exec(part));
  const labels = found.flatMap((match) =>
    match === null ? [] : [{ label: match[1] ?? '', value: (match[3] ?? '').trim(), isNot: match[2] === '!' }],
  );
  return labels.length === parts.length ? labels : null;
}

export function labelsText(labels: readonly LabelMatch[]): string {
  return labels.map(({ label, value, isNot }) => `${label}${isNot ? '!=' : '='}${value}`).join(', ');
}
