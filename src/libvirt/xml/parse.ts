/** Reading XML with limits, and the few ways to look at it. What does not fit the limits is refused before it is parsed. */

import { DOMParser, type Document, type Element, type Node, XMLSerializer } from '@xmldom/xmldom';
import { AppError, messageOf } from '#kernel/errors.ts';
import { libvirtErrors } from '../errors.ts';

/** Limit for XML from users and imports. What libvirt sends may be four times as long. */
export const MAX_XML_BYTES = 262_144;
const MAX_DEPTH = 64;

const ELEMENT = 1;

/** @throws AppError invalid_definition for malformed XML, a DOCTYPE, more than `maxBytes`, or more than 64 levels */
export function parseXml(text: string, maxBytes: number = MAX_XML_BYTES): Element {
  const size = Buffer.byteLength(text);
  if (size > maxBytes) throw refused(`it has ${size} bytes, at most ${maxBytes} are read`);
  if (/<!DOCTYPE/i.test(text)) throw refused('it has a DOCTYPE, which could pull in other files');
  let document: Document;
  try {
    document = new DOMParser({
      onError: (_level, message) => raise(message),
      // libvirt writes XML 1.0, where only CR ends a line too; the parser's own rule is of 1.1 and eats U+0085, U+2028, U+2029.
      normalizeLineEndings: (source) => source.replace(/\r\n?/g, '\n'),
    }).parseFromString(text, 'text/xml');
  } catch (error) {
    throw refused(`it is not well-formed XML (${messageOf(error).split('\n')[0]})`, error);
  }
  const root = document.documentElement;
  if (!root) throw refused('it has no element');
  assertDepth(root);
  return root;
}

/** The whole document of this element as text. */
export function documentText(root: Element): string {
  return new XMLSerializer().serializeToString(root.ownerDocument ?? root);
}

export function isElement(node: Node): node is Element {
  return node.nodeType === ELEMENT;
}

/** Child elements, those of one name when it is given. */
export function children(parent: Element, name?: string): Element[] {
  const found: Element[] = [];
  for (let node = parent.firstChild; node; node = node.nextSibling) {
    if (isElement(node) && (name === undefined || node.nodeName === name)) found.push(node);
  }
  return found;
}

/** The first element at a path of names, as `child(domain, 'os', 'type')`. */
export function child(parent: Element, ...path: readonly string[]): Element | null {
  let at: Element | null = parent;
  for (const name of path) at = at === null ? null : (children(at, name)[0] ?? null);
  return at;
}

export function attribute(element: Element | null, name: string): string | null {
  return element?.hasAttribute(name) ? element.getAttribute(name) : null;
}

/** Text of the element at a path, null when there is none. */
export function textAt(parent: Element, ...path: readonly string[]): string | null {
  return child(parent, ...path)?.textContent ?? null;
}

function raise(message: string): never {
  throw new SyntaxError(message);
}

function refused(problem: string, cause?: unknown): AppError {
  return new AppError('invalid_definition', {
    definition: libvirtErrors.invalid_definition,
    detail: `The definition is refused: ${problem}.`,
    hint: 'Send a libvirt definition without DOCTYPE, below 256 KiB.',
    cause,
  });
}

function assertDepth(root: Element): void {
  let depth = 1;
  let node: Node | null = root;
  while (node) {
    if (depth > MAX_DEPTH) throw refused(`its elements are nested deeper than ${MAX_DEPTH} levels`);
    if (node.firstChild) {
      node = node.firstChild;
      depth += 1;
      continue;
    }
    while (node && node !== root && !node.nextSibling) {
      node = node.parentNode;
      depth -= 1;
    }
    node = node === null || node === root ? null : node.nextSibling;
  }
}
