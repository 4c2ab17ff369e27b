/** Errors as `application/problem+json`: what is wrong, where, and the mend. Nothing of the inside goes out. */

import type { z } from 'zod';
import type { Problem } from '#contract/common.ts';
import { AppError, type FieldProblem } from '#kernel/errors.ts';
import { nearestName } from '#kernel/names.ts';
import { formatBytes } from '#kernel/units.ts';

/** Longest part of a refused value that is shown back. */
const MAX_SHOWN = 60;

export function problemOf(error: AppError, requestId: string): Problem {
  return {
    type: `urn:hyper-nixos:error:${error.code}`,
    title: error.title,
    status: error.status,
    code: error.code,
    detail: error.message,
    hint: error.hint,
    ...(error.fields.length > 0 ? { fields: [...error.fields] } : {}),
    ...(Object.keys(error.params).length > 0 ? { params: { ...error.params } } : {}),
    requestId,
  };
}

/** Errors of Node and fastify that arise before a handler runs, as ours. */
export function fromServer(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const status =
    error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new AppError('too_large', { detail: 'The body is larger than this route takes.', cause: error });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || code === 'FST_ERR_CTP_EMPTY_TYPE')
    return new AppError('unsupported_media_type', { cause: error });
  if (code === 'FST_ERR_BAD_URL' || code === 'FST_ERR_MAX_PARAM_LENGTH')
    return new AppError('bad_request', {
      detail: 'The path could not be read: a part of it is too long or not valid percent-encoded UTF-8.',
      cause: error,
    });
  if (status >= 400 && status < 500)
    return new AppError('bad_request', {
      detail: 'The request could not be read: it is not valid JSON or not valid HTTP.',
      cause: error,
    });
  return new AppError('internal_error', { cause: error });
}

/** Zod's findings as field problems with a mend each.
 *  @param where `body`, `query` or `params`; the body's fields are named without a prefix */
export function invalidInput(where: 'body' | 'query' | 'params', issues: readonly z.core.$ZodIssue[]): AppError {
  const fields = issues.slice(0, 20).flatMap((issue) => fieldsOf(where, issue));
  const first = fields[0];
  return new AppError('invalid_input', {
    detail: first ? `${first.path || 'The body'}: ${first.problem}` : 'The request does not fit.',
    ...(first ? { hint: first.mend } : {}),
    fields,
  });
}

function fieldsOf(where: string, issue: z.core.$ZodIssue): FieldProblem[] {
  const prefix = where === 'body' ? '' : `${where}.`;
  const path = `${prefix}${issue.path.map(String).join('.')}`.replace(/\.$/, '');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, 10).map((key) => ({
      path: path ? `${path}.${key.slice(0, MAX_SHOWN)}` : key.slice(0, MAX_SHOWN),
      problem: 'There is no such field.',
      mend: 'Leave it out; the OpenAPI document lists the fields.',
    }));
  }
  return [{ path, problem: problemText(issue), mend: mendOf(issue) }];
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

/** The library's own words for the commonest findings are for programmers. */
function problemText(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array' ? 'It is too short.' : 'It is too small.';
    case 'too_big':
      return issue.origin === 'string' || issue.origin === 'array' ? 'It is too long.' : 'It is too large.';
    case 'invalid_type':
      return issue.input === undefined ? 'It is missing.' : 'It has the wrong type.';
    case 'invalid_value':
      return 'This value is not possible here.';
    default:
      return sentence(issue.message);
  }
}

/** A limit as people read it: sizes in binary units, lengths in characters or entries. */
function limitText(issue: { path: PropertyKey[]; origin: string }, limit: number | bigint): string {
  if (/bytes$/i.test(String(issue.path.at(-1) ?? ''))) return formatBytes(Number(limit));
  if (issue.origin === 'string') return `${limit} characters`;
  return issue.origin === 'array' ? `${limit} entries` : String(limit);
}

function mendOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'too_small':
      return `Give at least ${limitText(issue, issue.minimum)}.`;
    case 'too_big':
      return `Give at most ${limitText(issue, issue.maximum)}.`;
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      const near = typeof issue.input === 'string' ? nearestName(issue.input, allowed) : null;
      return near ? `Did you mean "${near}"? Possible: ${allowed.join(', ')}.` : `Use one of: ${allowed.join(', ')}.`;
    }
    case 'invalid_type':
      return `Give a value of type ${issue.expected}.`;
    default:
      return sentence(issue.message);
  }
}
