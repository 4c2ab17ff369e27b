/** Reads the configuration: defaults, then the file, then the environment; each problem names key and mend. */

import { lstat, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { type ConfigFile, configSchema } from '#contract/config.ts';
import { hasErrno } from '#kernel/errors.ts';
import { nearestName } from '#kernel/names.ts';
import { socketFolderProblem } from '#kernel/socket-path.ts';

/** Folders below the state folder. */
export interface StateFolders {
  readonly root: string;
  readonly ca: string;
  readonly images: string;
  readonly disks: string;
  readonly scratch: string;
  readonly trash: string;
  readonly quarantine: string;
}

export interface Config extends ConfigFile {
  readonly state: StateFolders;
  readonly runtimeDir: string;
  /** Where it was read from, or would have been: the place to change a setting. */
  readonly configFile: string;
  /** Injected kill point of the fault tests, as `vm.create:disks:after`; null in normal use. */
  readonly killPoint: string | null;
}

/** A configuration that cannot be used. The message is meant for the terminal. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

function folders(root: string): StateFolders {
  return {
    root,
    ca: join(root, 'ca'),
    images: join(root, 'images'),
    disks: join(root, 'disks'),
    scratch: join(root, 'scratch'),
    trash: join(root, 'trash'),
    quarantine: join(root, 'quarantine'),
  };
}

async function readConfigFile(path: string, isRequired: boolean): Promise<unknown> {
  let text: string;
  try {
    // NixOS installs the file as a link into its store, so a link is followed; whoever owns it or what it leads to decides what is read.
    for (const facts of [await lstat(path), await stat(path)]) {
      if (!facts.isFile() && !facts.isSymbolicLink()) throw new ConfigError(`${path} is not a file.`);
      if (facts.uid !== 0 && facts.uid !== process.getuid?.())
        throw new ConfigError(`${path} belongs to another user. Mend: chown -h root ${path}, and what it links to`);
      // The rights of a link itself are never looked at.
      if (facts.isFile() && (facts.mode & 0o022) !== 0)
        throw new ConfigError(`${path} can be written by others. Mend: chmod go-w ${path}`);
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT') && !isRequired) return {};
    if (hasErrno(error, 'ENOENT')) throw new ConfigError(`${path} does not exist, but HV_CONFIG names it.`);
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: unknown = configSchema;
  for (const key of path) {
    const shape = shapeOf(schema);
    schema = shape?.[String(key)];
  }
  return Object.keys(shapeOf(schema) ?? {});
}

function shapeOf(schema: unknown): Record<string, unknown> | null {
  let current: unknown = schema;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth += 1) {
    if ('shape' in current && typeof current.shape === 'object' && current.shape !== null) return { ...current.shape };
    if ('unwrap' in current && typeof current.unwrap === 'function') current = current.unwrap();
    else return null;
  }
  return null;
}

function explain(path: string, issue: z.core.$ZodIssue): string {
  const at = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .map((key) => {
        const near = nearestName(key, knownKeys(issue.path));
        return `${path}: unknown key "${at ? `${at}.` : ''}${key}"${near ? `; did you mean "${near}"?` : '.'}`;
      })
      .join('\n');
  }
  return `${path}: ${at || 'the document'}: ${issue.message}`;
}

/** @param env the process environment: HV_CONFIG, HV_STATE_DIR, HV_RUNTIME_DIR, HV_LISTEN, HV_LIBVIRT_URI.
 *  @throws ConfigError with one line per problem */
export async function loadConfig(env: Readonly<Record<string, string | undefined>>): Promise<Config> {
  const named = env['HV_CONFIG'];
  const path = named ?? '/etc/hyper-nixos/config.json';
  const parsed = configSchema.safeParse(await readConfigFile(path, named !== undefined));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map((issue) => explain(path, issue)).join('\n'));
  const listen = env['HV_LISTEN'] ?? parsed.data.listen;
  const checked = configSchema.shape.listen.safeParse(listen);
  if (!checked.success) throw new ConfigError(`HV_LISTEN "${listen}": use ADDRESS:PORT, as 0.0.0.0:8080`);
  const runtimeDir = env['HV_RUNTIME_DIR'] ?? '/run/hyper-nixos';
  const tooLong = socketFolderProblem(runtimeDir);
  if (tooLong) throw new ConfigError(`${tooLong.problem}\n${tooLong.mend}`);
  return {
    ...parsed.data,
    listen,
    libvirtUri: env['HV_LIBVIRT_URI'] ?? parsed.data.libvirtUri,
    state: folders(resolve(env['HV_STATE_DIR'] ?? '/var/lib/hyper-nixos')),
    runtimeDir,
    configFile: path,
    killPoint: env['HV_KILL_POINT'] ?? null,
  };
}
