/** What `/api/v1/events` sends. Each SSE message has `event` = the name, `id` = a growing number, `data` = the payload as JSON. */

import type { Alert } from './alerts.ts';
import type { AuditRecord } from './audit.ts';
import type { HealthChange } from './health.ts';
import type { Image, Upload } from './images.ts';
import type { LibvirtJob } from './libvirt-jobs.ts';
import type { Operation } from './operations.ts';
import type { Host, Preflight } from './system.ts';
import type { ProofReason, ProofVerdict } from './verification.ts';
import type { Vm } from './vms.ts';

export interface ApiEvents {
  /** A VM is new or changed; the whole VM. */
  'vm.changed': Vm;
  'vm.removed': { id: string; project: string };
  'operation.changed': Operation;
  /** A job of libvirt began, got on or ended. */
  'job.changed': LibvirtJob;
  'image.changed': Image;
  'image.removed': { id: string; project: string };
  /** No longer shared with all projects: gone for whom no `image.changed` follows. */
  'image.unshared': { id: string; project: string };
  'upload.changed': Upload;
  'upload.removed': { id: string; project: string };
  'trash.changed': { id: string; project: string; vmId: string };
  'network.changed': { id: string };
  'pool.changed': { id: string };
  'host.changed': Host;
  'preflight.changed': Preflight;
  /** A health check changed its status. */
  'health.changed': HealthChange;
  'audit.recorded': AuditRecord;
  /** Users, groups, roles, grants or tokens are others than before. */
  'access.changed': { version: number };
  'project.changed': { id: string };
  'project.removed': { id: string };
  'channel.changed': { id: string; project: string | null };
  'silence.changed': { id: string; project: string | null };
  /** Messages were sent, given up or kept back. */
  'notice.changed': { id: string; project: string | null };
  'alert.changed': Alert;
  /** Rules are others than before. */
  'rule.changed': { id: string; project: string | null };
  /** How far healing may go is another than before, or it was paused or goes on. */
  'healing.changed': { what: 'mode' | 'pause' };
  /** A proof has a verdict. */
  'proof.recorded': { id: string; project: string; vmId: string; verdict: ProofVerdict; reason: ProofReason };
  /** Healing did something, or would have; `vmId` is null for what is of the host. */
  'healing.acted': { id: string; project: string | null; vmId: string | null };
  /** A restore point is new, another than before, or gone. */
  'backup.changed': { id: string; project: string; vmId: string };
  'repository.changed': { id: string };
  /** A schedule of backups is another than before, or a run of it went on. */
  'schedule.changed': { id: string };
}

export type ApiEventName = keyof ApiEvents;

/** Sent instead of an event when the client missed more than the server keeps: read everything again. */
export const RESET_EVENT = 'reset';
