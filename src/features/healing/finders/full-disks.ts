/** The file systems that hyperd writes to: how full they are, and what may be done about that. Three actions look at the same figures. */

import type { Finder, Finding, Found, HealedObject } from '../finding.ts';

const PAUSE_RATIO = 0.9;
const GO_ON_RATIO = 0.85;
const RESERVE_RATIO = 0.8;
const FREE_RATIO = 0.98;

/** A file system as it is now. */
export interface Filling {
  readonly folder: string;
  /** Share in use of what others than root may use. */
  readonly usedRatio: number;
  readonly isHeld: boolean;
  readonly hasReserve: boolean;
}

export interface FullDisks {
  /** Of each file system once; one that does not answer is missing, and named in `unknown`. */
  look(): Promise<{ readonly fillings: readonly Filling[]; readonly unknown: ReadonlySet<string> }>;
}

const percent = (ratio: number) => `${Math.floor(ratio * 100)} %`;

export function findFullDisks(disks: FullDisks): readonly Finder[] {
  const finder = (
    action: Finder['action'],
    delayMs: number,
    wrong: (filling: Filling) => Pick<Finding, 'found' | 'remedy' | 'work'> | null,
  ): Finder => ({
    action,
    delaysMs: [delayMs, Math.max(delayMs, 60_000)],
    isOnce: false,
    async find(): Promise<Found> {
      const { fillings, unknown } = await disks.look();
      return {
        findings: fillings.flatMap((filling) => {
          const facts = wrong(filling);
          const { folder } = filling;
          const object: HealedObject = { type: 'host', id: folder, name: folder, project: null };
          return facts === null ? [] : [{ object, obstacle: null, isStillSo: () => true, ...facts }];
        }),
        isUnknown: (id) => unknown.has(id),
      };
    },
  });

  return [
    finder('disk-pause', 0, ({ folder, usedRatio, isHeld }) => {
      if (!isHeld && usedRatio > PAUSE_RATIO)
        return {
          found: `${percent(usedRatio)} of the file system of ${folder} are in use`,
          remedy: 'let no download, upload or import begin there',
          work: { kind: 'healing.disk-pause', input: { folder, isHeld: true } },
        };
      if (isHeld && usedRatio < GO_ON_RATIO)
        return {
          found: `only ${percent(usedRatio)} of the file system of ${folder} are in use again`,
          remedy: 'let downloads, uploads and imports begin again',
          work: { kind: 'healing.disk-pause', input: { folder, isHeld: false } },
        };
      return null;
    }),
    finder('disk-reserve', 10_000, ({ folder, usedRatio, hasReserve }) =>
      hasReserve || usedRatio >= RESERVE_RATIO
        ? null
        : {
            found: `the file system of ${folder} has no reserve`,
            remedy: 'keep 1 % in a file',
            work: { kind: 'healing.disk-reserve', input: { folder } },
          },
    ),
    finder('disk-free', 0, ({ folder, usedRatio }) =>
      usedRatio <= FREE_RATIO
        ? null
        : {
            found: `${percent(usedRatio)} of the file system of ${folder} are in use`,
            remedy: 'remove the reserve and half-made files of operations that are over',
            work: { kind: 'healing.disk-free', input: { folder } },
          },
    ),
  ];
}
