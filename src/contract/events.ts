/** What `/api/v1/events` sends. Each SSE message has `event` = the name, `id` = a growing number, `data` = the payload as JSON. */

import type { Image, Upload } from './images.ts';
import type { Operation } from './operations.ts';
import type { AuditRecord, Host, Preflight } from './system.ts';
import type { Vm } from './vms.ts';

export interface ApiEvents {
  /** A VM is new or changed; the whole VM. */
  'vm.changed': Vm;
  'vm.removed': { id: string };
  'operation.changed': Operation;
  'image.changed': Image;
  'image.removed': { id: string };
  'upload.changed': Upload;
  'upload.removed': { id: string };
  'trash.changed': { id: string };
  'network.changed': { id: string };
  'pool.changed': { id: string };
  'host.changed': Host;
  'preflight.changed': Preflight;
  'audit.recorded': AuditRecord;
}

export type ApiEventName = keyof ApiEvents;

/** Sent instead of an event when the client missed more than the server keeps: read everything again. */
export const RESET_EVENT = 'reset';
