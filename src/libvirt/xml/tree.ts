/** XML that we make: a tree of elements and one serializer. There is no other way from text to XML, so nothing a user writes
 *  can become markup. */

import { AppError } from '#kernel/errors.ts';

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (XmlElement | string)[];
}

type Attribute = string | number | undefined;
type Child = XmlElement | string | number | null | undefined | false;

/** Attributes that are undefined and children that are null, undefined or false are left out. */
export function element(
  name: string,
  attributes: Readonly<Record<string, Attribute>> = {},
  ...children: readonly Child[]
): XmlElement {
  const kept: Record<string, string> = {};
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) kept[key] = String(value);
  const present = children.filter((child) => child !== null && child !== undefined && child !== false);
  return {
    name,
    attributes: kept,
    children: present.map((child) => (typeof child === 'number' ? String(child) : child)),
  };
}

/** @throws AppError invalid_input for characters that XML cannot carry */
export function serialize(root: XmlElement): string {
  return lines(root, '').join('\n');
}

function lines(node: XmlElement, indent: string): string[] {
  if (!NAME.test(node.name)) throw new TypeError(`"${node.name}" is no element name`);
  const attributes = Object.entries(node.attributes).map(([name, value]) => {
    if (!NAME.test(name)) throw new TypeError(`"${name}" is no attribute name`);
    return ` ${name}="${escapeXml(value)}"`;
  });
  const open = `${indent}<${node.name}${attributes.join('')}`;
  if (node.children.length === 0) return [`${open}/>`];
  const texts = node.children.filter((child) => typeof child === 'string');
  if (texts.length === node.children.length) return [`${open}>${texts.map(escapeXml).join('')}</${node.name}>`];
  const inner = node.children.flatMap((child) =>
    typeof child === 'string' ? [escapeXml(child)] : lines(child, `${indent}  `),
  );
  return [`${open}>`, ...inner, `${indent}</${node.name}>`];
}

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*(:[A-Za-z_][A-Za-z0-9_.-]*)?$/;
// XML 1.0 section 2.2: everything but these. Lone surrogates are caught by isWellFormed.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that must be found
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** @throws AppError invalid_input for characters that XML cannot carry */
export function assertXmlText(text: string): void {
  if (!FORBIDDEN.test(text) && text.isWellFormed()) return;
  throw new AppError('invalid_input', {
    detail: 'A text holds a control character that a VM definition cannot carry.',
    hint: 'Remove control characters from names, titles and descriptions.',
  });
}

function escapeXml(text: string): string {
  assertXmlText(text);
  return text.replace(/[&<>"'\t\n\r]/g, (character) => ENTITIES[character] ?? character);
}

// White space is escaped too: a parser turns raw tabs and newlines of attributes into blanks.
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};
