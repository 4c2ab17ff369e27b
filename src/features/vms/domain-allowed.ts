/** The last look at a definition before libvirt gets it: whatever a route, a step or the trash got wrong, a tenant's VM cannot reach files,
 *  devices or networks of the host or of others. Called for every way to define a VM, by define-domain.ts alone. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { AppError } from '#kernel/errors.ts';
import { attribute, children } from '#libvirt/index.ts';
import { DOMAIN_RULE, type Element, type Rule, type Tenant, type Value } from './domain-rules.ts';

/** One thing that the rules do not allow. */
export const forbiddenSchema = z
  .object({
    path: z.string().describe('as /domain/devices/hostdev; never a value'),
    problem: z.string(),
    key: z.string().describe('equal for the same thing in two versions of a definition; tells nothing of its content'),
    isGiven: z.boolean(),
  })
  .readonly();
export type Forbidden = z.infer<typeof forbiddenSchema>;

export interface Defining {
  readonly vmName: string;
  /** Id of the project that the VM belongs to afterwards. */
  readonly project: string;
  /** What the definition had before; empty for a new VM and for one that comes from another project. */
  readonly before: readonly Forbidden[];
  /** It brings back what was there when the operation began. */
  readonly isUndo?: boolean;
}

/** A VM of a project holds nothing forbidden. It keeps networks and images that were taken from the project since. One of the default
 *  project may be another program's, so it keeps what it has and is given nothing forbidden by us.
 *  @throws AppError definition_not_allowed naming where */
export function assertDomainAllowed(root: Element, tenant: Tenant, defining: Defining): void {
  const kept = new Map<string, number>();
  for (const { key } of defining.before) kept.set(key, (kept.get(key) ?? 0) + 1);
  const mayKeep = ({ isGiven }: Forbidden) =>
    isGiven || defining.isUndo === true || defining.project === DEFAULT_PROJECT;
  const refused = findForbidden(root, tenant).filter((found) => {
    const left = kept.get(found.key) ?? 0;
    if (left === 0 || !mayKeep(found)) return true;
    kept.set(found.key, left - 1);
    return false;
  });
  if (refused.length === 0) return;
  throw new AppError('definition_not_allowed', {
    detail: `"${defining.vmName}" may not have ${refused
      .slice(0, 5)
      .map(({ path, problem }) => `${path} (${problem})`)
      .join(', ')}${refused.length > 5 ? ` and ${refused.length - 5} more` : ''}.`,
    params: { paths: refused.map(({ path }) => path) },
  });
}

/** Everything in the definition that the rules do not name. */
export function findForbidden(root: Element, tenant: Tenant): Forbidden[] {
  const found: Forbidden[] = [];
  if (root.nodeName === 'domain') look(root, '/domain', DOMAIN_RULE, tenant, found);
  else found.push(strange(root, `/${root.nodeName}`));
  return found;
}

function look(element: Element, path: string, rule: Rule, tenant: Tenant, found: Forbidden[]): void {
  if (rule.isFree) return;
  for (const { name, value } of element.attributes)
    judge(`${path}@${name}`, value, rule.attributes[name], tenant, found);
  const inner = children(element);
  if (rule.text !== null && inner.length === 0) judge(path, element.textContent ?? '', rule.text, tenant, found);
  else if (ownText(element) !== '') found.push(strange(element, path));
  for (const name of rule.needs?.(tenant) ?? [])
    if (!inner.some(({ nodeName }) => nodeName === name))
      found.push({ ...strange(element, `${path}/${name}`), problem: 'it must be there', isGiven: true });
  for (const child of inner) {
    const name = child.nodeName;
    const place = `${path}/${name}`;
    const next = Object.hasOwn(rule.children, name) ? rule.children[name] : undefined;
    if (next === undefined) found.push(strange(child, place));
    else look(child, place, typeof next === 'function' ? next(child) : next, tenant, found);
  }
}

function judge(path: string, text: string, value: Value | undefined, tenant: Tenant, found: Forbidden[]): void {
  if (value?.fits(text.trim(), tenant)) return;
  found.push({
    path,
    problem: value?.problem ?? 'it is not among what VMs of a project may have',
    key: `${path} ${digest(text)}`,
    isGiven: value?.isGiven(text.trim(), tenant) ?? false,
  });
}

function strange(element: Element, path: string): Forbidden {
  return {
    path,
    problem: 'it is not among what VMs of a project may have',
    key: `${path} ${digest(printOf(element))}`,
    isGiven: false,
  };
}

function ownText(element: Element): string {
  let text = '';
  for (let node = element.firstChild; node; node = node.nextSibling)
    if (node.nodeType === TEXT || node.nodeType === CDATA) text += node.nodeValue ?? '';
  return text.trim();
}

const TEXT = 3;
const CDATA = 4;

/** Equal for equal content. The place in the boot order is left out: an edit of that order changes it on every device. */
function printOf(element: Element): unknown {
  return [
    element.nodeName,
    [...element.attributes].map(({ name }) => [name, attribute(element, name)]).sort(),
    ownText(element),
    children(element)
      .filter(({ nodeName }) => nodeName !== 'boot')
      .map(printOf),
  ];
}

const digest = (content: unknown): string =>
  createHash('sha256').update(JSON.stringify(content)).digest('base64url').slice(0, 16);
