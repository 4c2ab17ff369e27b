/** A sentence of the server in which commands stand between backticks; they are set as code. */

/** @param value plain text: nothing in it is ever taken as HTML */
export function Prose({ value }: { readonly value: string }) {
  const pieces = value.split('`');
  // An odd number of backticks is no quotation: show the text as it is.
  if (pieces.length % 2 === 0) return <>{value}</>;
  // In one element: in a box that lays out its children side by side, as cells do on the phone, the pieces would become columns.
  return <span>{pieces.map((piece, index) => (index % 2 === 1 ? <code key={index}>{piece}</code> : piece))}</span>;
}
