/** Requests that wait for a fresh proof of who sits here. One is asked about at a time; the others wait for their turn. */

import { signal } from '@preact/signals';

export interface ProofWanted {
  /** Of the request, as the refusal said. */
  readonly digest: string;
  /** For people: what is to be done, as the refusal said. */
  readonly action: string;
  /** Ends the asking: the proof was given, or the person does not want to. */
  settle(isProven: boolean): void;
}

/** What the dialog asks about now. */
export const proofWanted = signal<ProofWanted | null>(null);

let queue: Promise<unknown> = Promise.resolve();
/** Counts the sessions that ended here. */
let round = 0;

/** Asks the person at the screen. True when the proof was given and the request can be sent again. */
export function askForProof(digest: string, action: string): Promise<boolean> {
  const mine = round;
  const asked = queue.then(() => {
    if (mine !== round) return false;
    return new Promise<boolean>((resolve) => {
      proofWanted.value = {
        digest,
        action,
        settle(isProven) {
          proofWanted.value = null;
          resolve(isProven);
        },
      };
    });
  });
  queue = asked;
  return asked;
}

/** The session ended: whoever signs in next must not be asked for what another one wanted. */
export function dropProofs(): void {
  round += 1;
  proofWanted.peek()?.settle(false);
}
