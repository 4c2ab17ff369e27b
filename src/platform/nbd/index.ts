/** Network block devices: reading disks that QEMU serves, and serving disks to QEMU. Read-only both ways. */

export { connectNbd } from './connect.ts';
export type { NbdConnection } from './connection.ts';
export type { NbdAddress, NbdTls } from './link.ts';
export { type NbdServer, serveNbd } from './server.ts';
export type { NbdExtent, NbdSource, SourceExtent } from './source.ts';
export { ALLOCATION_CONTEXT, EXTENT_FLAGS } from './wire.ts';
