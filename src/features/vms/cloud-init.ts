/** The cloud-init documents of a VM (NoCloud): written by a YAML serializer only, so that no text of a user becomes structure.
 *  Documents that a user gives whole are checked for being what they claim, and passed on unchanged. */

import { parseDocument, stringify } from 'yaml';
import type { VmCreate } from '#contract/vms.ts';
import { AppError } from '#kernel/errors.ts';

export type CloudInit = NonNullable<VmCreate['cloudInit']>;

export interface SeedDocuments {
  readonly userData: string;
  readonly metaData: string;
  /** null = the image's own default: DHCP on the first NIC. */
  readonly networkConfig: string | null;
}

export interface SeedInput {
  readonly vmId: string;
  readonly vmName: string;
  readonly cloudInit: CloudInit;
  /** SHA-512 crypt of the password, or null. The password itself never comes here. */
  readonly passwordHash: string | null;
}

/** What cloud-init accepts as the first line of user data. */
const USER_DATA_HEADS = [
  '#cloud-config',
  '#!',
  '#include',
  '#cloud-boothook',
  '#cloud-config-archive',
  '## template: jinja',
  'Content-Type: multipart/',
  'MIME-Version:',
];

/** Aliases of YAML are expanded at most this often: a small document must not become a huge one. */
const MAX_ALIASES = 100;

/** Refuses documents that cloud-init would drop in silence.
 *  @throws AppError invalid_input naming `cloudInit.userData` or `cloudInit.networkData` */
export function checkCloudInit(cloudInit: CloudInit): void {
  const { userData, networkData } = cloudInit;
  if (userData !== undefined) {
    const head = USER_DATA_HEADS.find((start) => userData.startsWith(start));
    if (head === undefined) {
      throw refused(
        'cloudInit.userData',
        'it does not begin like a user-data document',
        'begin it with #cloud-config (YAML) or #! (a script)',
      );
    }
    if (/^#cloud-config\s*(\r?\n|$)/.test(userData) && !isMapping(yamlOf('cloudInit.userData', userData))) {
      throw refused('cloudInit.userData', 'it is no YAML mapping', 'write `key: value` lines below #cloud-config');
    }
  }
  if (networkData !== undefined) {
    const document = yamlOf('cloudInit.networkData', networkData);
    const inner = isMapping(document) && isMapping(document['network']) ? document['network'] : document;
    if (!isMapping(inner) || (inner['version'] !== 1 && inner['version'] !== 2)) {
      throw refused('cloudInit.networkData', 'it is no network-config document', 'begin it with `version: 2` (or 1)');
    }
  }
}

/** The three documents of the seed. */
export function seedDocuments({ vmId, vmName, cloudInit, passwordHash }: SeedInput): SeedDocuments {
  const hostname = cloudInit.hostname ?? vmName;
  return {
    userData: cloudInit.userData ?? `#cloud-config\n${stringify(userDataOf(cloudInit, hostname, passwordHash))}`,
    metaData: stringify({ 'instance-id': vmId, 'local-hostname': hostname }),
    networkConfig: cloudInit.networkData ?? null,
  };
}

function userDataOf(cloudInit: CloudInit, hostname: string, passwordHash: string | null): Record<string, unknown> {
  const login = {
    ...(cloudInit.sshKeys.length > 0 ? { ssh_authorized_keys: cloudInit.sshKeys } : {}),
    ...(passwordHash === null ? {} : { lock_passwd: false, passwd: passwordHash }),
  };
  return {
    hostname,
    // Without a name the image's own user (debian, ubuntu …) gets keys and password.
    ...(cloudInit.user === undefined
      ? {
          ...(cloudInit.sshKeys.length > 0 ? { ssh_authorized_keys: cloudInit.sshKeys } : {}),
          ...(passwordHash === null ? {} : { password: passwordHash, chpasswd: { expire: false } }),
        }
      : { users: [{ name: cloudInit.user, sudo: 'ALL=(ALL) NOPASSWD:ALL', lock_passwd: true, ...login }] }),
    ...(passwordHash === null ? {} : { ssh_pwauth: true }),
    ...(cloudInit.packages.length > 0 ? { package_update: true, packages: cloudInit.packages } : {}),
  };
}

function yamlOf(path: string, text: string): unknown {
  const document = parseDocument(text, { schema: 'core' });
  const [problem] = document.errors;
  if (problem) throw refused(path, `it is not YAML: ${problem.message.split('\n')[0] ?? ''}`, 'correct the document');
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (error instanceof ReferenceError)
      throw refused(path, 'it expands to far more than it says', 'write it with fewer aliases');
    throw error;
  }
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refused(path: string, problem: string, mend: string): AppError {
  return new AppError('invalid_input', { detail: `${path}: ${problem}; ${mend}.`, fields: [{ path, problem, mend }] });
}
