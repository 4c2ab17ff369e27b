/** Why an image is refused. One code for all of it, so that the reasons can grow without new contracts. */

import { AppError, defineErrors, registerErrors } from '#kernel/errors.ts';

export const imageInspectionErrors = defineErrors({
  image_refused: {
    status: 422,
    title: 'This image cannot be used',
    hint: 'The reason is in the message.',
  },
});
registerErrors(imageInspectionErrors);

/** Reasons as they stand in `params.reason`, each with what to do. */
const REASONS = {
  backing_file: {
    problem: 'It refers to another file for part of its content.',
    mend: 'Make it stand alone where it was made: `qemu-img convert -O qcow2 in.qcow2 out.qcow2`.',
  },
  json_reference: {
    problem: 'It refers to another file by a `json:` name.',
    mend: 'Make it stand alone where it was made: `qemu-img convert -O qcow2 in.qcow2 out.qcow2`.',
  },
  external_data_file: {
    problem: 'It refers to another file that holds its data.',
    mend: 'Make it stand alone where it was made: `qemu-img convert -O qcow2 in.qcow2 out.qcow2`.',
  },
  flat_extent: {
    problem: 'It is a VMDK descriptor that refers to other files.',
    mend: 'Convert it together with its parts: `qemu-img convert -O qcow2 in.vmdk out.qcow2`.',
  },
  unsupported_format: {
    problem: 'It is not in a format that can be used.',
    mend: 'Use qcow2, raw, ISO, or a single-file VMDK, VHD, VHDX or VDI.',
  },
  unsupported_feature: {
    problem: 'It uses a feature of its format that is not known here.',
    mend: 'Rewrite it: `qemu-img convert -O qcow2 in.qcow2 out.qcow2`.',
  },
  format_mismatch: {
    problem: 'Its content is in another format than stated.',
    mend: 'State the format that it really has, or give the right file.',
  },
  too_large_virtual: {
    problem: 'The disk inside is larger than allowed.',
    mend: 'Shrink the disk, or have the limit raised.',
  },
  empty: { problem: 'It holds nothing.', mend: 'Give the file again; the transfer may have failed.' },
  truncated: { problem: 'Its end is missing.', mend: 'Fetch it again and compare its checksum.' },
  corrupt: {
    problem: 'Its inner structure is damaged.',
    mend: 'Fetch it again; `qemu-img check` shows the damage.',
  },
  encrypted: { problem: 'It is encrypted as a whole.', mend: 'Decrypt it, or encrypt inside the guest instead.' },
  snapshots_inside: {
    problem: 'It holds internal snapshots.',
    mend: 'Keep its present state only: `qemu-img convert -O qcow2 in.qcow2 out.qcow2`.',
  },
  bad_label: { problem: 'Its volume label holds control characters.', mend: 'Make the ISO again with a plain label.' },
  not_a_regular_file: {
    problem: 'It is a link, folder, pipe or device, not a file.',
    mend: 'Give the path of the image file itself.',
  },
  changed: {
    problem: 'It changed while it was being looked at.',
    mend: 'Wait until nothing writes to it, then try again.',
  },
} as const;

export type RefusalReason = keyof typeof REASONS;

export interface RefusalFacts {
  /** Replaces the general sentence. Never holds a host path or text out of the image. */
  readonly detail?: string;
  readonly mend?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The error for an image that is not taken: code `image_refused`, `params.reason` as named. */
export function refused(reason: RefusalReason, facts: RefusalFacts = {}): AppError {
  return new AppError('image_refused', {
    detail: facts.detail ?? REASONS[reason].problem,
    hint: facts.mend ?? REASONS[reason].mend,
    params: { ...facts.params, reason },
    ...(facts.cause === undefined ? {} : { cause: facts.cause }),
  });
}
