/** How kinds of marks look, on the canvas and in the document: by their shape, because colour alone says nothing to many. What failed is
 *  hollow. */

import type { GraphMark, MarkKind } from './graph-data.ts';

/** Edges of the square that the shapes are drawn in. */
export const GLYPH_SIZE = 10;

export const MARK_SHAPES: Readonly<Record<MarkKind, string>> = {
  operation: 'M5 1.200a3.8 3.8 0 1 0 0 7.600 3.8 3.8 0 0 0 0-7.600z',
  backup: 'M1.500 1.500h7v7h-7z',
  restore: 'M5 .8 9.200 5 5 9.200 .8 5z',
  proof: 'M5 .7 8.800 2v3c0 2.200-1.500 3.600-3.800 4.400C2.700 8.600 1.200 7.200 1.200 5V2z',
  migration: 'M.8 3.600h4.600V1.200L9.400 5 5.400 8.800V6.400H.8z',
  restart: 'M5 1.600V0l3 2.400-3 2.400V3.300A2.300 2.300 0 1 0 7.300 5.600H9A4 4 0 1 1 5 1.600z',
  healing: 'M3.600 1.200h2.800v2.400h2.400v2.800H6.400v2.400H3.600V6.400H1.200V3.600h2.400z',
  alert: 'M5 1 9.300 8.800H.7z',
};

export type MarkTone = 'accent' | 'bad' | 'muted';

export function toneOf({ kind, outcome }: Pick<GraphMark, 'kind' | 'outcome'>): MarkTone {
  if (kind === 'alert' || outcome === 'bad') return 'bad';
  return outcome === 'cancelled' ? 'muted' : 'accent';
}

export const isHollow = ({ kind, outcome }: Pick<GraphMark, 'kind' | 'outcome'>): boolean =>
  kind !== 'alert' && (outcome === 'bad' || outcome === 'cancelled');

export function MarkGlyph({ kind, outcome }: { readonly kind: MarkKind; readonly outcome?: GraphMark['outcome'] }) {
  const look = { kind, outcome: outcome ?? ('good' as const) };
  return (
    <svg
      class={`mark-glyph is-${toneOf(look)} ${isHollow(look) ? 'is-hollow' : ''}`}
      width={GLYPH_SIZE}
      height={GLYPH_SIZE}
      viewBox={`0 0 ${GLYPH_SIZE} ${GLYPH_SIZE}`}
      aria-hidden="true"
    >
      <path d={MARK_SHAPES[kind]} />
    </svg>
  );
}
