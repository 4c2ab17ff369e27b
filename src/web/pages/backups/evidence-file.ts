/** Files of the evidence of a proof, by the names that it gives them: `serial-1.log`, `screen-1-last.png`. */

import type { Proof } from '#contract/verification.ts';

export function fileAddress(proofId: string, name: string): string {
  return `/api/v1/proofs/${encodeURIComponent(proofId)}/file?name=${encodeURIComponent(name)}`;
}

export type EvidenceFile = Proof['evidence']['files'][number];

/** Number of the start and moment in the name of a picture; the name itself where it is another one. */
export function pictureParts(name: string): { readonly start: string; readonly moment: string } {
  const [, start = '', moment = name] = /^screen-(\d+)-([a-z]+)\.png$/.exec(name) ?? [];
  return { start, moment };
}

export const isPicture = ({ contentType }: EvidenceFile): boolean => contentType.startsWith('image/');
export const isLog = ({ contentType }: EvidenceFile): boolean => contentType.startsWith('text/');
