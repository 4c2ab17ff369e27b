/** The exit codes that scripts rely on, and which failure has which. */

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  denied: 3,
  notFound: 4,
  conflict: 5,
  unreachable: 6,
  warnings: 7,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each code means, for help and the reference. */
export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.done, 'done'],
  [EXIT.failed, 'failed'],
  [EXIT.usage, 'the command or a value in it is wrong'],
  [EXIT.denied, 'not allowed'],
  [EXIT.notFound, 'no such object'],
  [EXIT.conflict, 'the state of the object does not allow it, or it changed meanwhile'],
  [EXIT.unreachable, 'hyperd cannot be reached'],
  [EXIT.warnings, 'finished with warnings'],
  [EXIT.interrupted, 'you pressed Ctrl-C; work already begun goes on'],
];

const BY_STATUS: Readonly<Record<number, ExitCode>> = {
  400: EXIT.usage,
  401: EXIT.denied,
  403: EXIT.denied,
  404: EXIT.notFound,
  409: EXIT.conflict,
  410: EXIT.notFound,
  412: EXIT.conflict,
  413: EXIT.usage,
  422: EXIT.usage,
  428: EXIT.conflict,
};

const BY_CODE: Readonly<Record<string, ExitCode>> = {
  not_found: EXIT.notFound,
  already_exists: EXIT.conflict,
  conflict: EXIT.conflict,
  wrong_state: EXIT.conflict,
  busy: EXIT.conflict,
  invalid_input: EXIT.usage,
};

/** For a refused call. */
export function exitOfStatus(status: number): ExitCode {
  return BY_STATUS[status] ?? EXIT.failed;
}

/** For an operation that ended in failure. */
export function exitOfCode(code: string): ExitCode {
  return BY_CODE[code] ?? EXIT.failed;
}
