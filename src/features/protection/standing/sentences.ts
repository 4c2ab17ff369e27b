/** What a posture is because of, as a sentence, and the one thing to do next. */

import { formatDuration } from '#kernel/units.ts';
import type { PostureReason } from '../posture.ts';

export interface Told {
  /** As people type it. */
  readonly vmName: string;
  readonly nowMs: number;
  readonly newestGoodMs: number | null;
  readonly intervalMs: number | null;
  readonly nextRunMs: number | null;
  readonly catalogueReadMs: number | null;
  readonly repositoryName: string;
  readonly lastFailure: { readonly detail: string | null; readonly operationId: string } | null;
  readonly lastPassMs: number | null;
  readonly lastProofMs: number | null;
  readonly newestPointId: string | null;
  readonly disksLeftOut: readonly string[];
}

export interface Sentence {
  readonly text: string;
  readonly next: { readonly text: string; readonly command: string };
}

/** Coarse: of ages nobody wants to know the minutes after a day. */
const span = (ms: number): string => (ms < 86_400_000 ? formatDuration(ms) : `${Math.floor(ms / 86_400_000)} d`);

export function sentenceOf(reason: PostureReason, told: Told): Sentence {
  const { vmName, nowMs, newestGoodMs, intervalMs, newestPointId } = told;
  const backUp = { text: 'Back it up now', command: `hv backup run ${vmName}` };
  const prove = { text: 'Prove a restore point now', command: `hv verify run ${vmName}` };
  const newest = newestGoodMs === null ? 'unknown' : `${span(nowMs - newestGoodMs)} old`;
  const every = intervalMs === null ? '' : `, and one is expected every ${span(intervalMs)}`;
  switch (reason) {
    case 'no_schedule':
      return {
        text: 'No schedule backs it up.',
        next: { text: 'Cover it with a schedule', command: 'hv backup schedule create nightly' },
      };
    case 'no_good_point':
      return {
        text:
          told.nextRunMs === null || told.nextRunMs < nowMs
            ? 'It has no restore point that is whole.'
            : `It has no restore point that is whole; its schedule runs in ${span(told.nextRunMs - nowMs)}.`,
        next: backUp,
      };
    case 'newest_far_too_old':
    case 'newest_too_old':
      return { text: `Its newest restore point is ${newest}${every}.`, next: backUp };
    case 'catalogue_not_read':
      return {
        text:
          told.catalogueReadMs === null
            ? `What lies in the repository ${told.repositoryName} was never read.`
            : `What lies in the repository ${told.repositoryName} was last read ${span(nowMs - told.catalogueReadMs)} ago.`,
        next: { text: 'Read the repository', command: `hv repo scan ${told.repositoryName}` },
      };
    case 'date_not_believed':
      return {
        text: 'The date of this machine leapt, so no age can be told for a day.',
        next: { text: 'See that its clock is right', command: 'timedatectl' },
      };
    case 'evidence_ahead':
      return {
        text: 'What is known of it is dated ahead of the clock: it was made while the date was wrong.',
        next: newestGoodMs !== null && newestGoodMs > nowMs ? backUp : prove,
      };
    case 'evidence_unreadable':
      return { text: 'The evidence of its last proof cannot be read.', next: prove };
    case 'last_run_failed':
      return told.lastFailure === null
        ? { text: 'Nothing is known of its last backup.', next: backUp }
        : {
            text: `Its last backup failed: ${told.lastFailure.detail ?? 'the operation tells why.'}`,
            next: { text: 'See why, and back it up again', command: `hv op show ${told.lastFailure.operationId}` },
          };
    case 'proof_failed':
      return {
        text: 'Its last proof failed: what lies there may not start.',
        next: { text: 'See what was found', command: `hv verify list --vm ${vmName}` },
      };
    case 'never_proven':
      return { text: 'No restore point of it was ever proven to start.', next: prove };
    case 'proof_too_old':
      return {
        text: `It was last proven restorable ${told.lastPassMs === null ? 'long' : span(nowMs - told.lastPassMs)} ago.`,
        next: prove,
      };
    case 'proof_inconclusive':
      return {
        text: 'Its last proof could not tell whether it starts.',
        next: { text: 'See what was missing', command: `hv verify list --vm ${vmName}` },
      };
    case 'copy_late':
      return { text: 'Its second copy is late.', next: { text: 'See the repositories', command: 'hv repo list' } };
    case 'disk_left_out':
      return {
        text: `No restore point holds its ${told.disksLeftOut.length === 1 ? 'disk' : 'disks'} ${told.disksLeftOut.join(', ')}.`,
        next: {
          text: 'See why, and say so when it is right',
          command: newestPointId === null ? `hv backup list --vm ${vmName}` : `hv backup show ${newestPointId}`,
        },
      };
    case 'not_consistent':
      return {
        text: 'Its newest restore point is as after a power cut, though its guest agent answers.',
        next: {
          text: 'See why its file systems were not frozen',
          command: `hv backup show ${newestPointId ?? ''}`.trim(),
        },
      };
  }
}
