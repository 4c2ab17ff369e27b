/** Definitions that go into backups and come back from them: without passwords, and with the identity of another VM. Elements that we do
 *  not know stay as they are. */

import type { Element } from '@xmldom/xmldom';
import { MAX_XML_BYTES } from '../codec.ts';
import { METADATA_NAMESPACE, METADATA_PREFIX, metadataElement } from './domain.ts';
import { attribute, child, children, documentText, parseXml } from './parse.ts';

/** The definition without what lets one in: passwords of screens. */
export function withoutPasswords(xml: string): string {
  const domain = parseXml(xml, MAX_XML_BYTES);
  const devices = child(domain, 'devices');
  for (const graphics of devices ? children(devices, 'graphics') : [])
    for (const name of ['passwd', 'passwdValidTo', 'connected']) graphics.removeAttribute(name);
  return documentText(domain);
}

export interface RestoredDisk {
  readonly path: string;
  readonly format: string;
  /** The guest is paused when it cannot be read or written, and goes on when it can: nothing that it wrote is lost. */
  readonly stopsOnError?: boolean;
}

/** What QEMU does when a disk cannot be written or read; null = what it does unless told. */
export interface ErrorPolicy {
  readonly write: string | null;
  readonly read: string | null;
}

const POLICIES = { write: 'error_policy', read: 'rerror_policy' } as const;

/** By target. @throws AppError invalid_definition */
export function errorPolicies(xml: string): Readonly<Record<string, ErrorPolicy>> {
  return Object.fromEntries(
    disksOf(parseXml(xml, MAX_XML_BYTES)).map(({ target, driver }) => [
      target,
      { write: attribute(driver, POLICIES.write), read: attribute(driver, POLICIES.read) },
    ]),
  );
}

/** The definition with these policies; other disks keep theirs. @throws AppError invalid_definition */
export function withErrorPolicies(xml: string, policies: Readonly<Record<string, ErrorPolicy>>): string {
  const domain = parseXml(xml, MAX_XML_BYTES);
  for (const { target, driver } of disksOf(domain)) {
    const policy = Object.hasOwn(policies, target) ? policies[target] : undefined;
    if (policy && driver) setPolicy(driver, policy);
  }
  return documentText(domain);
}

function disksOf(domain: Element): readonly { readonly target: string; readonly driver: Element | null }[] {
  const devices = child(domain, 'devices');
  return (devices ? children(devices, 'disk') : []).map((disk) => ({
    target: attribute(child(disk, 'target'), 'dev') ?? '',
    driver: child(disk, 'driver'),
  }));
}

function setPolicy(driver: Element, policy: ErrorPolicy): void {
  for (const [what, name] of [
    ['write', POLICIES.write],
    ['read', POLICIES.read],
  ] as const) {
    const value = policy[what];
    if (value === null) driver.removeAttribute(name);
    else driver.setAttribute(name, value);
  }
}

/** What a restored definition differs in from the one that was kept. */
export interface RestoredIdentity {
  readonly uuid: string;
  /** In libvirt. */
  readonly name: string;
  /** The operation that makes it. */
  readonly operationId: string;
  /** Files by target; disks that are not here are left out. */
  readonly disks: Readonly<Record<string, RestoredDisk>>;
  /** Media by target; drives that are not here become empty. */
  readonly media: Readonly<Record<string, string>>;
  /** New hardware addresses by the kept ones; those that are not here stay. */
  readonly macs: Readonly<Record<string, string>>;
  /** Null = the file that the definition names. */
  readonly nvramPath: string | null;
  readonly serialLogPath: string;
}

/** @throws AppError invalid_definition for text that is no definition */
export function restoredDomain(xml: string, identity: RestoredIdentity): string {
  const domain = parseXml(xml, MAX_XML_BYTES);
  setText(domain, 'name', identity.name);
  const wasUuid = child(domain, 'uuid')?.textContent?.trim() ?? null;
  setText(domain, 'uuid', identity.uuid);
  // Guests of Windows see by it that they are another machine now.
  const genid = child(domain, 'genid');
  if (genid && wasUuid !== identity.uuid) genid.parentNode?.removeChild(genid);
  const system = child(domain, 'sysinfo', 'system');
  for (const entry of system ? children(system, 'entry') : [])
    if (attribute(entry, 'name') === 'uuid') entry.textContent = identity.uuid;
  setMark(domain, identity.operationId);
  const nvram = child(domain, 'os', 'nvram');
  if (nvram && identity.nvramPath !== null) nvram.textContent = identity.nvramPath;
  const devices = child(domain, 'devices');
  if (!devices) return documentText(domain);
  for (const disk of children(devices, 'disk')) restoreDisk(disk, identity);
  for (const nic of children(devices, 'interface')) restoreNic(nic, identity);
  for (const kind of ['serial', 'console'])
    for (const port of children(devices, kind)) {
      const log = child(port, 'log');
      if (log) log.setAttribute('file', identity.serialLogPath);
      removeAll(port, 'alias');
    }
  for (const graphics of children(devices, 'graphics'))
    for (const listen of children(graphics, 'listen'))
      if (attribute(listen, 'type') === 'socket') listen.removeAttribute('socket');
  return documentText(domain);
}

function restoreDisk(disk: Element, { disks, media }: RestoredIdentity): void {
  const target = attribute(child(disk, 'target'), 'dev') ?? '';
  const device = attribute(disk, 'device') ?? 'disk';
  for (const name of ['backingStore', 'mirror', 'encryption', 'auth', 'seclabel']) removeAll(disk, name);
  const restored = Object.hasOwn(disks, target) ? disks[target] : undefined;
  if (restored) {
    removeAll(disk, 'source');
    disk.setAttribute('type', 'file');
    const driver = child(disk, 'driver') ?? insertFirst(disk, 'driver');
    driver.setAttribute('name', 'qemu');
    driver.setAttribute('type', restored.format);
    if (restored.stopsOnError === true) setPolicy(driver, { write: 'stop', read: 'stop' });
    const source = insertFirst(disk, 'source');
    source.setAttribute('file', restored.path);
    return;
  }
  if (device !== 'cdrom' && device !== 'floppy') {
    disk.parentNode?.removeChild(disk);
    return;
  }
  removeAll(disk, 'source');
  disk.setAttribute('type', 'file');
  const medium = Object.hasOwn(media, target) ? media[target] : undefined;
  if (medium !== undefined) insertFirst(disk, 'source').setAttribute('file', medium);
}

function restoreNic(nic: Element, { macs }: RestoredIdentity): void {
  const mac = child(nic, 'mac');
  const was = attribute(mac, 'address')?.toLowerCase() ?? '';
  const next = Object.hasOwn(macs, was) ? macs[was] : undefined;
  if (mac && next !== undefined) mac.setAttribute('address', next);
  removeAll(nic, 'target');
  const source = child(nic, 'source');
  source?.removeAttribute('portid');
}

function setMark(domain: Element, operationId: string): void {
  const mark = metadataElement(domain);
  if (mark) {
    mark.setAttribute('op', operationId);
    return;
  }
  const document = domain.ownerDocument;
  if (!document) return;
  const metadata = child(domain, 'metadata') ?? insertAfter(domain, 'metadata', ['description', 'title', 'uuid']);
  const created = document.createElementNS(METADATA_NAMESPACE, `${METADATA_PREFIX}:vm`);
  created.setAttribute('op', operationId);
  metadata.appendChild(created);
}

function setText(domain: Element, name: 'name' | 'uuid', text: string): void {
  const element = child(domain, name) ?? insertAfter(domain, name, ['name']);
  element.textContent = text;
}

function removeAll(parent: Element, name: string): void {
  for (const found of children(parent, name)) parent.removeChild(found);
}

function create(parent: Element, name: string): Element {
  const document = parent.ownerDocument;
  if (!document) throw new TypeError('an element without a document');
  return document.createElement(name);
}

function insertFirst(parent: Element, name: string): Element {
  const created = create(parent, name);
  parent.insertBefore(created, parent.firstChild);
  return created;
}

function insertAfter(parent: Element, name: string, after: readonly string[]): Element {
  const created = create(parent, name);
  const place = after.map((each) => child(parent, each)).find((found) => found !== null);
  parent.insertBefore(created, place ? place.nextSibling : parent.firstChild);
  return created;
}
