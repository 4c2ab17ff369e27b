/** The libvirt client: the only import for other layers. Start with `createLibvirtHost`; see README.md. */

export { usedAccessActions } from './access-actions.ts';
export type { GuestFilesystem, GuestInterface } from './api/agent.ts';
export type { BlockJobInfo } from './api/backup.ts';
export type { DomainInfo, DomainRef, DomainState, Screenshot } from './api/domain.ts';
export type { LibvirtEvent } from './api/events.ts';
export type { MigrateOptions } from './api/migrate.ts';
export type { DhcpLease, NetworkRef } from './api/network.ts';
export type { NodeInfo } from './api/node.ts';
export type { ProjectDomains } from './api/project.ts';
export type { SecretRef } from './api/secret.ts';
export type { DomainStats, JobInfo, StatGroup } from './api/stats.ts';
export type { PoolInfo, PoolRef, VolumeInfo, VolumeRef } from './api/storage.ts';
export type { StatValues, TypedParam } from './codec.ts';
export type { CallOptions } from './connection.ts';
export { isNotFound, LibvirtError, type LibvirtFailure, libvirtErrors } from './errors.ts';
export { type FileTransferOptions, receiveFile, sendFile } from './file-transfer.ts';
export {
  createLibvirtHost,
  type LibvirtHost,
  type LibvirtHostOptions,
  type LibvirtHostState,
} from './host.ts';
export type { LibvirtIdentity } from './identity.ts';
export type { FenceGap, FindAccount, SecondFence } from './project-connections.ts';
export { type Hole, isHole, LibvirtStream } from './stream.ts';
export { parseLibvirtUri } from './uri.ts';
export {
  type BackupDiskSpec,
  type BackupFacts,
  buildBackupXml,
  buildCheckpointXml,
  readBackup,
  readCheckpointDisks,
} from './xml/backup.ts';
export {
  buildDomainXml,
  type CpuSpec,
  type DiskSpec,
  type DomainSpec,
  type FirmwareSpec,
  type NicFilterSpec,
  type NicSpec,
} from './xml/build.ts';
export {
  type DiskFacts,
  type DomainFacts,
  type GraphicsFacts,
  METADATA_NAMESPACE,
  type NicFacts,
  readDomain,
} from './xml/domain.ts';
export { type DomainEdits, definitionDigest, editDomain } from './xml/edit.ts';
export { attribute, child, children, parseXml, textAt } from './xml/parse.ts';
export {
  type ErrorPolicy,
  errorPolicies,
  type RestoredIdentity,
  restoredDomain,
  withErrorPolicies,
  withoutPasswords,
} from './xml/restored.ts';
export { element, serialize, type XmlElement } from './xml/tree.ts';
