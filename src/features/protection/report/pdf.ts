/** Writes a PDF of text and lines: pages of A4 in the fonts that every reader brings along. Enough for a report; no pictures, no other
 *  alphabets than that of Western Europe. Packages that do this bring fonts, image codecs and megabytes along; this is one page of code. */

export interface PdfText {
  /** From the left, in points of 1/72 inch. */
  readonly x: number;
  readonly text: string;
  readonly font: 'regular' | 'bold';
  readonly sizePt: number;
  /** Red, green and blue, 0 to 1. */
  readonly colour: readonly [number, number, number];
}

export type PdfLine =
  /** Texts on one base line; `heightPt` is how far down the next line lies. */
  { readonly kind: 'texts'; readonly heightPt: number; readonly texts: readonly PdfText[] } | { readonly kind: 'rule' };

const PAGE = { widthPt: 595, heightPt: 842, marginPt: 48 } as const;
export const PDF_LEFT_PT: number = PAGE.marginPt;
export const PDF_RIGHT_PT: number = PAGE.widthPt - PAGE.marginPt;
const RULE_HEIGHT_PT = 8;
const FOOT_PT = 24;

/** Widths of Helvetica's characters 32 to 126 in thousandths of the size, from Adobe's font metrics. */
const WIDTHS = [
  278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
  556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
  722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
  556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
  260, 334, 584,
];
const WIDEST = 1015;

/** In points; of bold text a little too small. */
export function textWidthPt(text: string, sizePt: number): number {
  let thousandths = 0;
  for (const character of text) thousandths += WIDTHS[(character.codePointAt(0) ?? 0) - 32] ?? WIDEST;
  return (thousandths * sizePt) / 1000;
}

/** Lines that are no wider; a word that is wider alone is cut. */
export function wrapPt(text: string, sizePt: number, widthPt: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (textWidthPt(longer, sizePt) <= widthPt) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = cutPt(word, sizePt, widthPt);
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** The text, or its beginning with dots. */
export function cutPt(text: string, sizePt: number, widthPt: number): string {
  if (textWidthPt(text, sizePt) <= widthPt) return text;
  let cut = [...text];
  while (cut.length > 1 && textWidthPt(`${cut.join('')}...`, sizePt) > widthPt) cut = cut.slice(0, -1);
  return `${cut.join('')}...`;
}

/** @param foot at the bottom of each page, before its number */
export function writePdf(title: string, lines: readonly PdfLine[], foot: string): Buffer {
  const pages = paginate(lines);
  const objects: string[] = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((_, n) => `${6 + 2 * n} 0 R`).join(' ')}] >>`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>',
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>',
    `<< /Title ${literal(title)} /Producer (Hyper-NixOS) >>`,
  ];
  for (const [n, content] of pages.entries()) {
    const number = textAt(
      {
        x: PDF_LEFT_PT,
        text: `${foot}   ${n + 1} / ${pages.length}`,
        font: 'regular',
        sizePt: 8,
        colour: [0.45, 0.45, 0.45],
      },
      PAGE.marginPt - FOOT_PT,
    );
    const stream = `${content}${number}`;
    objects.push(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${PAGE.widthPt} ${PAGE.heightPt}] /Contents ${7 + 2 * n} 0 R /Resources << /Font << /regular 3 0 R /bold 4 0 R >> >> >>`,
      `<< /Length ${stream.length} >>\nstream\n${stream}endstream`,
    );
  }
  let file = '%PDF-1.4\n';
  const offsets = objects.map((object, n) => {
    const offset = file.length;
    file += `${n + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const xref = file.length;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n`;
  for (const offset of offsets) file += `${String(offset).padStart(10, '0')} 00000 n \n`;
  file += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R /Info 5 0 R >>\nstartxref\n${xref}\n%%EOF\n`;
  // One character is one byte, so the offsets above are right.
  return Buffer.from(file, 'latin1');
}

function paginate(lines: readonly PdfLine[]): readonly string[] {
  const pages: string[] = [];
  let content = '';
  let y = PAGE.heightPt - PAGE.marginPt;
  for (const line of lines) {
    const heightPt = line.kind === 'rule' ? RULE_HEIGHT_PT : line.heightPt;
    if (y - heightPt < PAGE.marginPt) {
      pages.push(content);
      content = '';
      y = PAGE.heightPt - PAGE.marginPt;
    }
    y -= heightPt;
    content +=
      line.kind === 'rule'
        ? `0.8 G 0.5 w ${PDF_LEFT_PT} ${y + RULE_HEIGHT_PT / 2} m ${PDF_RIGHT_PT} ${y + RULE_HEIGHT_PT / 2} l S\n`
        : line.texts.map((text) => textAt(text, y)).join('');
  }
  return [...pages, content];
}

const textAt = ({ x, text, font, sizePt, colour }: PdfText, y: number): string =>
  `BT /${font} ${sizePt} Tf ${colour.join(' ')} rg ${x} ${y.toFixed(1)} Td ${literal(text)} Tj ET\n`;

/** A string of PDF; what its alphabet has no letter for is a question mark. */
function literal(text: string): string {
  const known = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 63;
    return code >= 32 && code < 127 ? character : code >= 160 && code < 256 ? character : '?';
  });
  return `(${known.join('').replaceAll(/[\\()]/g, (sign) => `\\${sign}`)})`;
}
