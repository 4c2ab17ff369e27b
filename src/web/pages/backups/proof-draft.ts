/** How restore points of a VM are proven, as the form holds it: texts that may still be wrong, and what the API is told. */

import type { ProofProbe, ProofSettings } from '#contract/verification.ts';
import { backupsText } from '../../text-backups.ts';

export const PROBE_KINDS = ['none', 'tcp', 'http', 'script'] as const;
type ProbeKind = (typeof PROBE_KINDS)[number];

export interface ProofDraft {
  /** Empty = what the backup shows. */
  readonly level: string;
  readonly marker: string;
  readonly kind: ProbeKind;
  readonly port: string;
  readonly path: string;
  readonly expectText: string;
  readonly program: string;
  /** One a line. */
  readonly args: string;
  readonly hasNetwork: boolean;
}

export function proofDraftOf({ level, marker, probe, hasNetwork }: ProofSettings): ProofDraft {
  return {
    level: level === null ? '' : String(level),
    marker: marker ?? '',
    kind: probe?.kind ?? 'none',
    port: probe === null || probe.kind === 'script' ? '80' : String(probe.port),
    path: probe?.kind === 'http' ? probe.path : '/',
    expectText: probe?.kind === 'http' ? (probe.expectText ?? '') : '',
    program: probe?.kind === 'script' ? probe.program : '',
    args: probe?.kind === 'script' ? probe.args.join('\n') : '',
    hasNetwork,
  };
}

export type ProofProblems = Readonly<Partial<Record<'port' | 'path' | 'program', string>>>;

const LEVELS = [0, 1, 2, 3, 4, 5] as const;

/** What the API is told, or what is wrong in which field. */
export function proofSettingsOf(draft: ProofDraft): {
  readonly settings: ProofSettings | null;
  readonly problems: ProofProblems;
} {
  const words = backupsText.proofSettings;
  const port = /^\d{1,5}$/.test(draft.port.trim()) ? Number(draft.port) : 0;
  const isAsked = draft.kind === 'tcp' || draft.kind === 'http';
  const problems: ProofProblems = {
    ...(isAsked && (port < 1 || port > 65_535) ? { port: words.needNumber } : {}),
    ...(draft.kind === 'http' && !draft.path.startsWith('/') ? { path: words.needPath } : {}),
    ...(draft.kind === 'script' && !draft.program.startsWith('/') ? { program: words.needProgram } : {}),
  };
  if (Object.keys(problems).length > 0) return { settings: null, problems };
  return {
    problems,
    settings: {
      level: LEVELS.find((level) => String(level) === draft.level) ?? null,
      marker: draft.marker.trim() || null,
      probe: probeOf(draft, port),
      hasNetwork: draft.hasNetwork,
    },
  };
}

function probeOf({ kind, path, expectText, program, args }: ProofDraft, port: number): ProofProbe | null {
  switch (kind) {
    case 'none':
      return null;
    case 'tcp':
      return { kind, port };
    case 'http':
      return { kind, port, path, ...(expectText === '' ? {} : { expectText }) };
    case 'script':
      return { kind, program, args: args.split('\n').filter((line) => line !== '') };
  }
}
