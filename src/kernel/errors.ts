/** The error catalogue: every failure that leaves the process has a stable code, a title and a mend.
 *  Slices declare their codes in `src/contract`; this file holds the mechanism and the codes that belong to no slice. */

/** One field of the input that was refused. `path` is dotted, as in `disks.0.sizeBytes`. */
export interface FieldProblem {
  readonly path: string;
  readonly problem: string;
  readonly mend: string;
}

/** What one code means: `status` is the HTTP status, `title` says what is wrong in general, `hint` what to do next. */
export interface ErrorDefinition {
  readonly status: number;
  readonly title: string;
  readonly hint: string;
}

export type ErrorCatalogue = Readonly<Record<string, ErrorDefinition>>;

/** Declares the codes of one slice. Codes are lower snake_case and are never renamed. */
export function defineErrors<const Catalogue extends ErrorCatalogue>(catalogue: Catalogue): Catalogue {
  for (const code of Object.keys(catalogue)) {
    if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(code))
      throw new TypeError(`error code "${code}" is not lower snake_case`);
  }
  return catalogue;
}

/** Codes that any slice may use. */
export const kernelErrors = defineErrors({
  internal_error: {
    status: 500,
    title: 'Something failed that should not',
    hint: 'Report it with the request id; `hv op list` shows whether anything was changed.',
  },
  invalid_input: {
    status: 422,
    title: 'The request does not fit',
    hint: 'Correct the named fields and send it again.',
  },
  not_found: { status: 404, title: 'There is no such object', hint: 'List the objects to see their names and ids.' },
  already_exists: { status: 409, title: 'It exists already', hint: 'Choose another name, or change the existing one.' },
  conflict: { status: 409, title: 'The object changed meanwhile', hint: 'Read it again and repeat the change.' },
  wrong_state: {
    status: 409,
    title: 'The object is not in a state that allows this',
    hint: 'Look at its state and choose an action that fits.',
  },
  busy: {
    status: 409,
    title: 'Another operation works on this object',
    hint: 'Wait for it to end (`hv op list`) or cancel it.',
  },
  timeout: { status: 503, title: 'It took too long', hint: 'Try again; if it stays so, look at `hv preflight`.' },
  cancelled: { status: 409, title: 'It was cancelled', hint: 'Start it again when you want it.' },
  unavailable: {
    status: 503,
    title: 'A needed part does not answer',
    hint: 'Try again in a moment; `hv preflight` names the part.',
  },
  no_space: {
    status: 507,
    title: 'There is not enough free space',
    hint: 'Free space on the named file system, or use another pool.',
  },
  too_large: { status: 413, title: 'The request is too large', hint: 'Send less; the limit is in the message.' },
});

export interface AppErrorOptions {
  /** What is wrong here, in one sentence that names the object. Goes out to the user: no host path, SQL or secret. */
  readonly detail?: string;
  /** Replaces the catalogue's hint when this case has a better mend. */
  readonly hint?: string;
  readonly fields?: readonly FieldProblem[];
  /** Facts for the machine reader, as `{ limitBytes: 1024 }`. Goes out to the user. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** The underlying failure. Goes to the log only. */
  readonly cause?: unknown;
  /** Catalogue that defines the code, when it is not one of the kernel's. */
  readonly definition?: ErrorDefinition;
}

const registry = new Map<string, ErrorDefinition>(Object.entries(kernelErrors));

/** Makes a slice's codes known; a second, different definition of one code is an error at start-up. */
export function registerErrors(catalogue: ErrorCatalogue): void {
  for (const [code, definition] of Object.entries(catalogue)) {
    const known = registry.get(code);
    if (known && (known.status !== definition.status || known.title !== definition.title)) {
      throw new TypeError(`error code "${code}" is defined twice`);
    }
    registry.set(code, definition);
  }
}

/** All known codes, for the generated error list. */
export function knownErrors(): ReadonlyMap<string, ErrorDefinition> {
  return registry;
}

/** The only error that goes out to users. Everything else becomes `internal_error`. */
export class AppError extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly hint: string;
  readonly fields: readonly FieldProblem[];
  readonly params: Readonly<Record<string, unknown>>;

  constructor(code: string, options: AppErrorOptions = {}) {
    const definition = options.definition ?? registry.get(code);
    if (!definition) throw new TypeError(`unknown error code "${code}"`);
    super(options.detail ?? definition.title, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.status = definition.status;
    this.title = definition.title;
    this.hint = options.hint ?? definition.hint;
    this.fields = options.fields ?? [];
    this.params = options.params ?? {};
  }
}

/** Any thrown value as an AppError, without losing the original. What the system says of its file systems can happen anywhere. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (hasErrno(error, 'ENOSPC', 'EDQUOT'))
    return new AppError('no_space', {
      detail: 'A file system of the host is full.',
      hint: 'Free space there: `hv trash purge` deletes what is in the trash, `hv image delete` what no VM uses.',
      cause: error,
    });
  if (hasErrno(error, 'EROFS'))
    return new AppError('unavailable', {
      detail: 'A file system of the host is read-only, so nothing was changed.',
      hint: 'Look at `dmesg` for the reason, and mount it writable again.',
      cause: error,
    });
  return new AppError('internal_error', { cause: error });
}

/** The message of any thrown value, for logs. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True for a Node system error with this code, as `hasErrno(error, 'ENOENT')`. */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}
