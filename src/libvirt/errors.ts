/** libvirt's failures as our errors: one table from libvirt's code to the code that users see. libvirt's own text can hold host paths,
 *  so it goes to the log only: it is the message of the error's `cause`. */

import { AppError, defineErrors, type ErrorDefinition, kernelErrors, registerErrors } from '#kernel/errors.ts';

export const libvirtErrors = defineErrors({
  libvirt_unavailable: {
    status: 503,
    title: 'libvirt does not answer',
    hint: 'Changes wait until it is back; `hv preflight` says what to do on the host.',
  },
  libvirt_forbidden: {
    status: 502,
    title: 'libvirt refuses access to us',
    hint: 'The access rules of libvirt on the host (polkit, socket, certificate) do not let the daemon do this; `hv preflight` names the rule.',
  },
  libvirt_failed: {
    status: 502,
    title: 'libvirt could not do it',
    hint: 'The log has its reason under the request id; `hv preflight` shows known causes.',
  },
  invalid_definition: {
    status: 422,
    title: 'libvirt refuses this definition',
    hint: 'Change the VM so that the host can run it; the log has the reason under the request id.',
  },
  migration_refused: {
    status: 409,
    title: 'The VM cannot move to that host',
    hint: 'Compare CPU model and storage of both hosts, then choose another host.',
  },
  agent_unavailable: {
    status: 409,
    title: 'The guest agent does not answer',
    hint: 'Install and start qemu-guest-agent in the guest, or use the way without it.',
  },
  checkpoint_broken: {
    status: 409,
    title: 'The chain of checkpoints is broken',
    hint: 'The next backup has to be a full one.',
  },
  unsupported_by_host: {
    status: 501,
    title: 'This host cannot do that',
    hint: 'It needs a newer libvirt or QEMU, or a part that is not installed; `hv preflight` lists them.',
  },
  certificate_refused: {
    status: 502,
    title: 'The host refused our certificate',
    hint: 'Check the client certificate, its CA, and `tls_allowed_dn_list` on the host.',
  },
});
registerErrors(libvirtErrors);

type LibvirtErrorCode =
  | keyof typeof libvirtErrors
  | 'not_found'
  | 'already_exists'
  | 'wrong_state'
  | 'busy'
  | 'timeout'
  | 'cancelled'
  | 'no_space';

/** libvirt's error numbers (virErrorNumber, libvirt 9.0). What is not here is `libvirt_failed`. */
const CODES: ReadonlyMap<number, LibvirtErrorCode> = new Map([
  ...each('not_found', 42, 43, 49, 50, 53, 62, 66, 72, 80, 103),
  ...each('already_exists', 28, 37, 90),
  ...each('wrong_state', 55),
  ...each('busy', 87),
  ...each('timeout', 68),
  ...each('libvirt_forbidden', 29, 45, 79, 88, 94),
  ...each('invalid_definition', 8, 27, 35, 67, 74, 92),
  ...each('migration_refused', 69, 81, 91),
  ...each('agent_unavailable', 86, 97),
  ...each('checkpoint_broken', 109),
  ...each('cancelled', 78),
  ...each('unsupported_by_host', 3, 84),
]);

function each(code: LibvirtErrorCode, ...numbers: readonly number[]): [number, LibvirtErrorCode][] {
  return numbers.map((number) => [number, code]);
}

const RETRYABLE: ReadonlySet<LibvirtErrorCode> = new Set([
  'busy',
  'timeout',
  'agent_unavailable',
  'libvirt_unavailable',
]);

const OPERATION_FAILED = 9;
const SYSTEM_ERROR = 38;
const RPC = 39;
const ENOSPC = 28;
const EDQUOT = 122;

/** What libvirt said, as it came over the wire. */
export interface LibvirtFailure {
  readonly code: number;
  readonly domain: number;
  readonly level: number;
  readonly message: string;
  readonly str1: string | null;
  readonly str2: string | null;
  readonly str3: string | null;
  readonly int1: number;
  readonly int2: number;
}

export interface LibvirtErrorOptions {
  readonly procedure: string;
  readonly detail?: string;
  readonly failure?: LibvirtFailure;
  /** True when a change may have happened although we saw no answer. Never repeat such a call; read the state back. */
  readonly outcomeUnknown?: boolean;
  readonly cause?: unknown;
}

/** A failed call. As an AppError it may go out to users: its message is general; libvirt's text is in `failure` and `cause`. */
export class LibvirtError extends AppError {
  override readonly name = 'LibvirtError';
  /** libvirt's name of the procedure, as `DOMAIN_DEFINE_XML_FLAGS`. */
  readonly procedure: string;
  /** null when the failure is ours: lost connection, deadline, cancelled. */
  readonly failure: LibvirtFailure | null;
  readonly outcomeUnknown: boolean;
  readonly isRetryable: boolean;

  constructor(code: LibvirtErrorCode, options: LibvirtErrorOptions) {
    const cause =
      options.cause ?? (options.failure ? new Error(describe(options.procedure, options.failure)) : undefined);
    super(code, { ...(options.detail === undefined ? {} : { detail: options.detail }), cause });
    this.procedure = options.procedure;
    this.failure = options.failure ?? null;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
    this.isRetryable = RETRYABLE.has(code) && !this.outcomeUnknown;
  }

  /** The same failure with a sentence that names the object, as `VM web-1 is not running.` */
  toAppError(detail?: string): AppError {
    const definition: ErrorDefinition = { status: this.status, title: this.title, hint: this.hint };
    return new AppError(this.code, { definition, detail: detail ?? this.message, cause: this });
  }
}

/** The error for an ERROR reply. */
export function errorFromReply(procedure: string, failure: LibvirtFailure): LibvirtError {
  return new LibvirtError(codeOf(failure), { procedure, failure });
}

function codeOf(failure: LibvirtFailure): LibvirtErrorCode {
  if (failure.code === OPERATION_FAILED && /already (exists|defined|active|in use)/.test(failure.message))
    return 'already_exists';
  if (failure.code === SYSTEM_ERROR && (failure.int1 === ENOSPC || failure.int1 === EDQUOT)) return 'no_space';
  if (failure.code === RPC && /unknown procedure/.test(failure.message)) return 'unsupported_by_host';
  return CODES.get(failure.code) ?? 'libvirt_failed';
}

/** True when the object does not exist (any more). */
export function isNotFound(error: unknown): boolean {
  return error instanceof LibvirtError && error.code === 'not_found';
}

function describe(procedure: string, failure: LibvirtFailure): string {
  return `${procedure}: ${failure.message} (libvirt error ${failure.code}, domain ${failure.domain}, errno ${failure.int1})`;
}

/** Codes that this library can raise, for documentation. */
export const libvirtErrorCodes: readonly string[] = [
  ...new Set([...CODES.values(), ...Object.keys(libvirtErrors)]),
].filter((code) => code in libvirtErrors || code in kernelErrors);
