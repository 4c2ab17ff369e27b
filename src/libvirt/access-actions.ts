/** Which permissions of libvirt's access driver our calls need, as polkit names them: `domain.read-secure`. Read out of the table. */

import { P } from './table.ts';

/** The object's leave that one call in the table asks for, as `domain:write+save*`, `domain:read+read_secure(XML_SECURE)`. */
export function actionsOf(acl: string): readonly string[] {
  if (acl === 'none') return [];
  const [object = '', verbs = ''] = acl.split(':');
  const named = (text: string) => text.replaceAll('_', '-');
  return verbs.split('+').map((verb) => `${named(object)}.${named(verb.replace(/\(.*\)$|\*$/, ''))}`);
}

/** Asked for by libvirt itself, in our name, while it does what we called for: lists leave out what may not be looked up, a VM that starts
 *  or stops plugs its NICs into networks and filters and pulls them out, and a screen is opened (measured, 9.0). */
const INDIRECT = [
  'domain.open-graphics',
  'network-port.create',
  'network-port.delete',
  'network-port.getattr',
  'network-port.read',
  'nwfilter.getattr',
  'nwfilter-binding.create',
  'nwfilter-binding.delete',
  'nwfilter-binding.getattr',
  'nwfilter-binding.read',
];

/** Everything that hyperd's own user must be allowed, sorted. */
export function usedAccessActions(): readonly string[] {
  return [...new Set([...Object.values(P).flatMap(({ acl }) => actionsOf(acl)), ...INDIRECT])].sort();
}
