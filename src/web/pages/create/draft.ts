/** What the create wizard holds between its steps, and what it sends. Pure but for the copy kept in this tab. */

import type { Problem } from '#contract/common.ts';
import type { Image } from '#contract/images.ts';
import type { VmCreateInput } from '#contract/vms.ts';
import { DEFAULT_PROJECT, NAME_PATTERN } from '#kernel/names.ts';
import { GIB, MIB } from '#kernel/units.ts';

export type SourceKind = 'iso' | 'cloud' | 'empty' | 'kernel';

export interface Draft {
  /** Id; empty until it is known where the user may create. */
  readonly project: string;
  readonly source: SourceKind;
  readonly isoId: string;
  readonly cloudImageId: string;
  readonly kernelImageId: string;
  readonly initrdImageId: string;
  readonly commandLine: string;
  readonly name: string;
  readonly title: string;
  readonly vcpus: string;
  readonly memoryBytes: number | null;
  readonly hasDisk: boolean;
  readonly diskBytes: number | null;
  readonly pool: string;
  readonly firmware: 'uefi' | 'bios';
  readonly secureBoot: boolean;
  readonly tpm: boolean;
  readonly graphics: boolean;
  readonly accel: 'auto' | 'tcg';
  /** `network:default`, `bridge:br0` or `none`. */
  readonly attach: string;
  readonly mac: string;
  readonly user: string;
  readonly sshKeys: string;
  readonly password: string;
  readonly hostname: string;
  readonly packages: string;
  /** Replaces the fields above when it is switched on. */
  readonly hasUserData: boolean;
  readonly userData: string;
  readonly networkData: string;
  readonly autostart: boolean;
  readonly isProtected: boolean;
  readonly start: boolean;
}

export const EMPTY_DRAFT: Draft = {
  project: '',
  source: 'cloud',
  isoId: '',
  cloudImageId: '',
  kernelImageId: '',
  initrdImageId: '',
  commandLine: 'console=ttyS0',
  name: '',
  title: '',
  vcpus: '2',
  memoryBytes: 2 * GIB,
  hasDisk: true,
  diskBytes: 20 * GIB,
  pool: '',
  firmware: 'uefi',
  secureBoot: false,
  tpm: false,
  graphics: true,
  accel: 'auto',
  attach: 'network:default',
  mac: '',
  user: '',
  sshKeys: '',
  password: '',
  hostname: '',
  packages: '',
  hasUserData: false,
  userData: '#cloud-config\n',
  networkData: '',
  autostart: false,
  isProtected: false,
  start: true,
};

export const STEPS = ['source', 'resources', 'network', 'guest', 'review'] as const;
export type Step = (typeof STEPS)[number];

/** The steps that this draft goes through: only a cloud image listens to cloud-init. */
export function stepsOf(draft: Draft): readonly Step[] {
  return draft.source === 'cloud' ? STEPS : STEPS.filter((step) => step !== 'guest');
}

/** Where a field of the API is filled in, so that a refusal leads to the right step. */
export function stepOfField(path: string): Step {
  if (/^(isoId|kernel|project)/.test(path) || /^disks\.\d+\.imageId/.test(path)) return 'source';
  if (/^nics/.test(path)) return 'network';
  if (/^cloudInit/.test(path)) return 'guest';
  return 'resources';
}

/** Where the VM goes: as chosen, else the default project, else the first where the user may create one; null when there is none. */
export function projectFor<Project extends { readonly id: string }>(
  draft: Draft,
  creatable: readonly Project[],
): Project | null {
  return (
    creatable.find(({ id }) => id === draft.project) ??
    creatable.find(({ id }) => id === DEFAULT_PROJECT) ??
    creatable[0] ??
    null
  );
}

/** The draft in another project, without the images that VMs there may not use. */
export function withProject(draft: Draft, project: string, isUsable: (imageId: string) => boolean): Draft {
  const kept = (imageId: string) => (imageId === '' || isUsable(imageId) ? imageId : '');
  return {
    ...draft,
    project,
    isoId: kept(draft.isoId),
    cloudImageId: kept(draft.cloudImageId),
    kernelImageId: kept(draft.kernelImageId),
    initrdImageId: kept(draft.initrdImageId),
  };
}

export function sshKeysOf(draft: Draft): string[] {
  return draft.sshKeys
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** True when the step holds what the next one needs. The server checks everything again. */
export function isStepReady(step: Step, draft: Draft): boolean {
  switch (step) {
    case 'source':
      return draft.source === 'iso'
        ? draft.isoId !== ''
        : draft.source === 'cloud'
          ? draft.cloudImageId !== ''
          : draft.source === 'kernel'
            ? draft.kernelImageId !== ''
            : true;
    case 'resources': {
      const vcpus = Number(draft.vcpus);
      const needsDisk = draft.source === 'empty' || draft.source === 'cloud' || draft.hasDisk;
      return (
        NAME_PATTERN.test(draft.name) &&
        Number.isInteger(vcpus) &&
        vcpus > 0 &&
        draft.memoryBytes !== null &&
        draft.memoryBytes >= 16 * MIB &&
        (!needsDisk || (draft.diskBytes !== null && draft.diskBytes >= MIB))
      );
    }
    case 'network':
      return true;
    case 'guest':
      return draft.password === '' || draft.password.length >= 8;
    case 'review':
      return true;
  }
}

/** What the step still wants before the next one, in words for the text catalogue; null when it is ready. */
export function wantOf(step: Step, draft: Draft): 'iso' | 'cloud' | 'kernel' | 'name' | 'marked' | null {
  if (isStepReady(step, draft)) return null;
  if (step === 'source') return draft.source === 'empty' ? null : draft.source;
  return step === 'resources' && draft.name === '' ? 'name' : 'marked';
}

/** Images that a VM can be made from, by name. */
export function readyImages(known: ReadonlyMap<string, Image>, kind: Image['kind']): Image[] {
  return [...known.values()]
    .filter((image) => image.kind === kind && image.state === 'ready')
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** The draft with the image of its source taken where nothing was chosen and there is only one; null when there is nothing to take. */
export function withOnlyImage(draft: Draft, known: ReadonlyMap<string, Image>): Draft | null {
  const only = (kind: Image['kind']) => {
    const list = readyImages(known, kind);
    return list.length === 1 ? list[0] : undefined;
  };
  const iso = draft.source === 'iso' && draft.isoId === '' ? only('iso') : undefined;
  if (iso) return { ...draft, isoId: iso.id };
  const disk = draft.source === 'cloud' && draft.cloudImageId === '' ? only('disk') : undefined;
  if (disk) return withCloudImage(draft, disk);
  const kernel = draft.source === 'kernel' && draft.kernelImageId === '' ? only('kernel') : undefined;
  return kernel ? { ...draft, kernelImageId: kernel.id } : null;
}

/** A cloud image that nobody can sign in to is a common and puzzling mistake. */
export function hasNoWayIn(draft: Draft): boolean {
  return draft.source === 'cloud' && !draft.hasUserData && draft.password === '' && sshKeysOf(draft).length === 0;
}

/** The request; fields at their default are left out. Null while something needed is missing. */
export function requestOf(draft: Draft): VmCreateInput | null {
  if (!stepsOf(draft).every((step) => isStepReady(step, draft)) || draft.memoryBytes === null) return null;
  const size = draft.diskBytes === null ? {} : { sizeBytes: draft.diskBytes };
  const pool = draft.pool === '' ? {} : { pool: draft.pool };
  const hasDisk = draft.source === 'empty' || draft.source === 'cloud' || draft.hasDisk;
  return {
    name: draft.name,
    ...(draft.project === '' || draft.project === DEFAULT_PROJECT ? {} : { project: draft.project }),
    ...(draft.title ? { title: draft.title } : {}),
    vcpus: Number(draft.vcpus),
    memoryBytes: draft.memoryBytes,
    ...(draft.source === 'kernel' ? {} : { firmware: draft.firmware }),
    ...(draft.secureBoot && draft.firmware === 'uefi' && draft.source !== 'kernel' ? { secureBoot: true } : {}),
    ...(draft.tpm ? { tpm: true } : {}),
    graphics: draft.graphics,
    ...(draft.source === 'iso' ? { isoId: draft.isoId } : {}),
    ...(draft.source === 'kernel'
      ? {
          kernel: {
            kernelImageId: draft.kernelImageId,
            ...(draft.initrdImageId ? { initrdImageId: draft.initrdImageId } : {}),
            commandLine: draft.commandLine,
          },
        }
      : {}),
    disks: hasDisk ? [{ ...size, ...pool, ...(draft.source === 'cloud' ? { imageId: draft.cloudImageId } : {}) }] : [],
    nics: draft.attach === 'none' ? [] : [nicOf(draft)],
    ...(draft.source === 'cloud' ? { cloudInit: cloudInitOf(draft) } : {}),
    autostart: draft.autostart,
    isProtected: draft.isProtected,
    accel: draft.accel,
    start: draft.start,
  };
}

function nicOf(draft: Draft): { network?: string; bridge?: string; mac?: string } {
  const separator = draft.attach.indexOf(':');
  const name = draft.attach.slice(separator + 1);
  const mac = draft.mac.trim().toLowerCase();
  return { ...(draft.attach.startsWith('bridge:') ? { bridge: name } : { network: name }), ...(mac ? { mac } : {}) };
}

function cloudInitOf(draft: Draft): NonNullable<VmCreateInput['cloudInit']> {
  const networkData = draft.networkData.trim() ? { networkData: draft.networkData } : {};
  if (draft.hasUserData) return { userData: draft.userData, ...networkData };
  const packages = draft.packages.split(/[\s,]+/).filter(Boolean);
  return {
    ...(draft.hostname ? { hostname: draft.hostname } : {}),
    ...(draft.user ? { user: draft.user } : {}),
    sshKeys: sshKeysOf(draft),
    ...(draft.password ? { password: draft.password } : {}),
    packages,
    ...networkData,
  };
}

/** What the draft takes over from a chosen cloud image: its user and a disk that it fits in. */
export function withCloudImage(draft: Draft, image: Image): Draft {
  const diskBytes =
    draft.diskBytes === null || draft.diskBytes < image.virtualSizeBytes
      ? Math.ceil(image.virtualSizeBytes / GIB) * GIB
      : draft.diskBytes;
  return { ...draft, source: 'cloud', cloudImageId: image.id, diskBytes };
}

/** Draft fields that the API calls otherwise. */
const PATHS: Partial<Readonly<Record<string, string>>> = {
  diskBytes: 'disks.0.sizeBytes',
  attach: 'nics',
  mac: 'nics',
};

/** The problem without the fields that were changed; null when none of its fields is left. */
export function withoutChanged(problem: Problem | null, part: Partial<Draft>): Problem | null {
  const changed = Object.keys(part).map((name) => PATHS[name] ?? name);
  const left = (problem?.fields ?? []).filter(
    (field) => !changed.some((path) => `.${field.path}.`.includes(`.${path}.`)),
  );
  return problem && left.length > 0 ? { ...problem, fields: left } : null;
}

const KEY = 'hyper.create-draft';

/** Passwords are never kept. */
export function saveDraft(draft: Draft): void {
  try {
    window.sessionStorage.setItem(KEY, JSON.stringify({ ...draft, password: '' }));
  } catch {
    // Storage is blocked or full: the draft lasts as long as the page.
  }
}

export function loadDraft(): Draft {
  try {
    const saved: unknown = JSON.parse(window.sessionStorage.getItem(KEY) ?? 'null');
    if (typeof saved !== 'object' || saved === null) return EMPTY_DRAFT;
    const known = Object.entries(saved).filter(
      ([name, value]) =>
        name in EMPTY_DRAFT && (typeof value === typeof Reflect.get(EMPTY_DRAFT, name) || value === null),
    );
    return { ...EMPTY_DRAFT, ...Object.fromEntries(known) };
  } catch {
    // Storage is blocked or holds something else: begin anew.
    return EMPTY_DRAFT;
  }
}

export function clearDraft(): void {
  try {
    window.sessionStorage.removeItem(KEY);
  } catch {
    // Storage is blocked: then nothing was kept.
  }
}
