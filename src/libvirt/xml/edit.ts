/** Changes to an existing definition. Only the named things change: elements, attributes, comments and namespaces that we do not know
 *  stay as they are. Edit the inactive XML, read with `secure` when it is defined again, else passwords are lost. */

import { createHash } from 'node:crypto';
import type { Element } from '@xmldom/xmldom';
import { AppError } from '#kernel/errors.ts';
import { MAX_XML_BYTES as MAX_WIRE_XML_BYTES } from '../codec.ts';
import {
  type DiskSpec,
  diskElement,
  filterElement,
  metadataTree,
  type NicFilterSpec,
  type NicSpec,
  nicElement,
  withTargets,
} from './build.ts';
import { METADATA_NAMESPACE, metadataElement } from './domain.ts';
import { attribute, child, children, documentText, parseXml } from './parse.ts';
import { assertXmlText, type XmlElement } from './tree.ts';

export interface DomainEdits {
  /** null or empty removes it. */
  readonly title?: string | null;
  readonly description?: string | null;
  /** Maximum and current memory. */
  readonly memoryKib?: number;
  /** Maximum and current count; a CPU topology that does not fit becomes one socket. */
  readonly vcpus?: number;
  /** What the guest has of its maximum, which stays: for definitions that leave room to grow while they run. */
  readonly currentMemoryKib?: number;
  readonly currentVcpus?: number;
  /** Targets of disks and MACs of NICs, first boots first. All others no longer boot. */
  readonly bootOrder?: readonly string[];
  /** Medium of a cdrom drive by target; null ejects. */
  readonly cdroms?: Readonly<Record<string, string | null>>;
  readonly removeDisks?: readonly string[];
  readonly addDisks?: readonly DiskSpec[];
  readonly removeNics?: readonly string[];
  readonly addNics?: readonly NicSpec[];
  /** Network filter of a NIC by MAC; null takes it away. */
  readonly nicFilters?: Readonly<Record<string, NicFilterSpec | null>>;
  /** Attributes of our metadata element to set, or with null to remove. */
  readonly metadata?: Readonly<Record<string, string | null>>;
}

/** @throws AppError invalid_definition for text that is no definition; invalid_input when an edit names something that is not there */
export function editDomain(xml: string, edits: DomainEdits): string {
  const domain = parseXml(xml, MAX_WIRE_XML_BYTES);
  if (Object.values(edits).every((edit) => edit === undefined)) return xml;
  if (edits.title !== undefined) setText(domain, 'title', edits.title);
  if (edits.description !== undefined) setText(domain, 'description', edits.description);
  if (edits.memoryKib !== undefined) setMemory(domain, edits.memoryKib);
  if (edits.vcpus !== undefined) setVcpus(domain, edits.vcpus);
  if (edits.currentMemoryKib !== undefined) setKib(domain, 'currentMemory', edits.currentMemoryKib);
  if (edits.currentVcpus !== undefined) setCurrentVcpus(domain, edits.currentVcpus);
  for (const target of edits.removeDisks ?? []) remove(diskAt(domain, target, 'removeDisks'));
  for (const mac of edits.removeNics ?? []) remove(nicAt(domain, mac, 'removeNics'));
  for (const [target, path] of Object.entries(edits.cdroms ?? {}))
    setMedium(diskAt(domain, target, 'cdroms'), target, path);
  if (edits.addDisks) addDisks(domain, edits.addDisks);
  if (edits.addNics) for (const nic of edits.addNics) addDevice(domain, 'interface', nicElement(nic));
  for (const [mac, filter] of Object.entries(edits.nicFilters ?? {}))
    setFilter(nicAt(domain, mac, 'nicFilters'), filter);
  if (edits.bootOrder !== undefined) setBootOrder(domain, edits.bootOrder);
  if (edits.metadata !== undefined) setMetadata(domain, edits.metadata);
  return documentText(domain);
}

/** A fingerprint for compare-and-set: libvirt itself takes any definition over any other. */
export function definitionDigest(xml: string): string {
  return createHash('sha256').update(xml).digest('hex');
}

/** Where libvirt itself writes these elements: right after the first of the named ones that exists. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  title: ['genid', 'uuid', 'name'],
  description: ['title', 'genid', 'uuid', 'name'],
  metadata: ['description', 'title', 'genid', 'uuid', 'name'],
  currentMemory: ['memory'],
};

function setText(domain: Element, name: string, text: string | null): void {
  const existing = child(domain, name);
  if (text === null || text === '') {
    if (existing) remove(existing);
    return;
  }
  assertXmlText(text);
  const target = existing ?? insert(domain, name);
  target.textContent = text;
}

/** A new element at its place in the domain. */
function insert(domain: Element, name: string): Element {
  const created = create(domain, name);
  const after = (PLACES[name] ?? []).map((place) => child(domain, place)).find((found) => found !== null);
  const before = after ? after.nextSibling : domain.firstChild;
  const indent = indentOf(after ?? null);
  if (indent) domain.insertBefore(documentOf(domain).createTextNode(indent), before);
  domain.insertBefore(created, before);
  return created;
}

function setMemory(domain: Element, memoryKib: number): void {
  for (const name of ['memory', 'currentMemory'] as const) setKib(domain, name, memoryKib);
}

function setKib(domain: Element, name: 'memory' | 'currentMemory', kib: number): void {
  assertCount('memoryKib', kib);
  const target = child(domain, name) ?? insert(domain, name);
  target.setAttribute('unit', 'KiB');
  target.textContent = String(kib);
}

function setCurrentVcpus(domain: Element, vcpus: number): void {
  assertCount('vcpus', vcpus);
  const vcpu = child(domain, 'vcpu') ?? insert(domain, 'vcpu');
  vcpu.setAttribute('current', String(vcpus));
  // The list says for each vCPU whether it is on; libvirt makes a new one from the count.
  const enumerated = child(domain, 'vcpus');
  if (enumerated) remove(enumerated);
}

function setVcpus(domain: Element, vcpus: number): void {
  assertCount('vcpus', vcpus);
  const vcpu = child(domain, 'vcpu') ?? insert(domain, 'vcpu');
  vcpu.removeAttribute('current');
  vcpu.textContent = String(vcpus);
  const enumerated = child(domain, 'vcpus');
  if (enumerated) remove(enumerated);
  const topology = child(domain, 'cpu', 'topology');
  if (!topology) return;
  const parts = ['sockets', 'dies', 'clusters', 'cores', 'threads'].filter((part) => topology.hasAttribute(part));
  const product = parts.reduce((sum, part) => sum * Number(attribute(topology, part)), 1);
  if (product === vcpus) return;
  for (const part of parts) topology.setAttribute(part, part === 'cores' ? String(vcpus) : '1');
}

function setMedium(disk: Element, target: string, path: string | null): void {
  if (attribute(disk, 'device') !== 'cdrom') throw noSuch('cdroms', target, 'is no cdrom drive');
  if (path !== null && !path.startsWith('/')) throw noSuch('cdroms', path, 'is not an absolute path');
  const source = child(disk, 'source');
  if (source) remove(source);
  if (path === null) return;
  disk.setAttribute('type', 'file');
  const driver = child(disk, 'driver');
  driver?.setAttribute('type', 'raw');
  const created = create(disk, 'source');
  created.setAttribute('file', path);
  disk.insertBefore(created, child(disk, 'target'));
}

function addDisks(domain: Element, disks: readonly DiskSpec[]): void {
  const taken = devices(domain, 'disk').flatMap((disk) => attribute(child(disk, 'target'), 'dev') ?? []);
  for (const disk of withTargets(disks, taken)) {
    if (taken.includes(disk.target)) throw noSuch('addDisks', disk.target, 'is taken by another disk');
    addDevice(domain, 'disk', diskElement(disk));
  }
}

function setFilter(nic: Element, filter: NicFilterSpec | null): void {
  for (const present of children(nic, 'filterref')) remove(present);
  // libvirt's schema takes these children in any order.
  if (filter) nic.appendChild(fromTree(nic, filterElement(filter)));
}

function setBootOrder(domain: Element, order: readonly string[]): void {
  const named = order.map((name) => findDisk(domain, name) ?? nicAt(domain, name, 'bootOrder'));
  const os = child(domain, 'os');
  for (const boot of os ? children(os, 'boot') : []) remove(boot);
  const bootable = ['disk', 'interface', 'hostdev', 'redirdev'].flatMap((kind) => devices(domain, kind));
  for (const device of bootable) for (const boot of children(device, 'boot')) remove(boot);
  named.forEach((device, index) => {
    const boot = create(device, 'boot');
    boot.setAttribute('order', String(index + 1));
    // libvirt's schema takes these children in any order.
    device.appendChild(boot);
  });
}

function setMetadata(domain: Element, values: Readonly<Record<string, string | null>>): void {
  const present = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null);
  const existing = metadataElement(domain);
  if (!existing) {
    if (present.length === 0) return;
    const metadata = child(domain, 'metadata') ?? insert(domain, 'metadata');
    metadata.appendChild(fromTree(metadata, metadataTree(Object.fromEntries(present))));
    return;
  }
  for (const [name, value] of Object.entries(values)) {
    if (value === null) existing.removeAttribute(name);
    else {
      assertXmlText(value);
      existing.setAttribute(name, value);
    }
  }
}

function devices(domain: Element, name: string): Element[] {
  const parent = child(domain, 'devices');
  return parent ? children(parent, name) : [];
}

function findDisk(domain: Element, target: string): Element | null {
  return devices(domain, 'disk').find((disk) => attribute(child(disk, 'target'), 'dev') === target) ?? null;
}

function diskAt(domain: Element, target: string, field: string): Element {
  const found = findDisk(domain, target);
  if (!found) throw noSuch(field, target, 'is no disk of this VM');
  return found;
}

function nicAt(domain: Element, mac: string, field: string): Element {
  const wanted = mac.toLowerCase();
  const found = devices(domain, 'interface').find(
    (nic) => attribute(child(nic, 'mac'), 'address')?.toLowerCase() === wanted,
  );
  if (!found) throw noSuch(field, mac, 'is no device of this VM');
  return found;
}

/** After the last device of its kind, as libvirt writes them. */
function addDevice(domain: Element, kind: string, tree: XmlElement): void {
  const parent = child(domain, 'devices') ?? insert(domain, 'devices');
  const last = children(parent, kind).at(-1) ?? null;
  const indent = indentOf(last);
  const before = last ? last.nextSibling : null;
  if (indent) parent.insertBefore(documentOf(parent).createTextNode(indent), before);
  parent.insertBefore(fromTree(parent, tree), before);
}

function fromTree(near: Element, tree: XmlElement): Element {
  const prefixed = tree.name.includes(':');
  const created = prefixed ? documentOf(near).createElementNS(METADATA_NAMESPACE, tree.name) : create(near, tree.name);
  for (const [name, value] of Object.entries(tree.attributes)) {
    assertXmlText(value);
    if (!name.startsWith('xmlns')) created.setAttribute(name, value);
  }
  for (const part of tree.children) {
    if (typeof part === 'string') assertXmlText(part);
    created.appendChild(typeof part === 'string' ? documentOf(near).createTextNode(part) : fromTree(near, part));
  }
  return created;
}

function create(near: Element, name: string): Element {
  return documentOf(near).createElementNS(near.namespaceURI, name);
}

function documentOf(node: Element) {
  const document = node.ownerDocument;
  if (!document) throw new TypeError('an element without a document');
  return document;
}

/** The line break and blanks before an element, to put before its new neighbour too. */
function indentOf(element: Element | null): string | null {
  const before = element?.previousSibling;
  const text = before?.nodeType === 3 ? (before.nodeValue ?? '') : '';
  return /^\s*$/.test(text) && text !== '' ? text : null;
}

function remove(element: Element): void {
  const before = element.previousSibling;
  if (before?.nodeType === 3 && /^\s*$/.test(before.nodeValue ?? '')) before.parentNode?.removeChild(before);
  element.parentNode?.removeChild(element);
}

function assertCount(path: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new AppError('invalid_input', {
    detail: `The VM cannot have ${path} ${value}.`,
    fields: [{ path, problem: 'is not a whole number above 0', mend: 'Give a positive whole number.' }],
  });
}

function noSuch(path: string, value: string, problem: string): AppError {
  return new AppError('invalid_input', {
    detail: `"${value}" ${problem}.`,
    fields: [{ path, problem: `"${value}" ${problem}`, mend: 'Show the VM to see the names of its devices.' }],
  });
}
