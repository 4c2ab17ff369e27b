/** What proofs of restore points make in libvirt for a few minutes: VMs and networks that are nobody's. They are in no list, count for
 *  nothing, and nobody is told that they stop. */

/** Followed by the id of the operation that made it. */
export const TEST_OBJECT_PREFIX = 'hyp-proof-';

export const isTestObject = (name: string): boolean => name.startsWith(TEST_OBJECT_PREFIX);
