/** Cuts XML into pieces to be coloured. Only for showing: what it does not understand stays plain text. */

export interface XmlPiece {
  readonly kind: 'tag' | 'name' | 'value' | 'comment' | 'text';
  readonly text: string;
}

const PIECES =
  /(?<comment><!--[\s\S]*?-->)|(?<tag><\/?[\w:.-]+|\/?>|<\?[\s\S]*?\?>)|(?<value>"[^"<>]*"|'[^'<>]*')|(?<name>[\w:.-]+(?==["']))/g;

/** The pieces in order; joined they are the source again. */
export function colourXml(source: string): XmlPiece[] {
  const pieces: XmlPiece[] = [];
  let from = 0;
  for (const match of source.matchAll(PIECES)) {
    if (match.index > from) pieces.push({ kind: 'text', text: source.slice(from, match.index) });
    const { comment, tag, value } = match.groups ?? {};
    pieces.push({ kind: comment ? 'comment' : tag ? 'tag' : value ? 'value' : 'name', text: match[0] });
    from = match.index + match[0].length;
  }
  if (from < source.length) pieces.push({ kind: 'text', text: source.slice(from) });
  return pieces;
}
