/** Uploads of images from this browser: chunk by chunk, resumed after a lost connection from where the server stands. They go on while the user visits other pages. */

import { signal } from '@preact/signals';
import { ApiProblem } from '#contract/client.ts';
import type { Problem } from '#contract/common.ts';
import type { ImageKind, Upload } from '#contract/images.ts';
import { MIB } from '#kernel/units.ts';
import { text } from '../text.ts';
import { api, problemOf, Unreachable } from './api.ts';
import { showToast } from './toasts.ts';

export interface LocalUpload {
  readonly id: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly sentBytes: number;
  /** Over the last seconds; null until it is known. */
  readonly bytesPerSecond: number | null;
  /** `waiting` = the connection is lost, the next attempt comes by itself. */
  readonly state: 'sending' | 'waiting' | 'failed';
  readonly problem: Problem | null;
}

/** What this browser sends now, by upload id. */
export const localUploads = signal<ReadonlyMap<string, LocalUpload>>(new Map());

const CHUNK_BYTES = 8 * MIB;
const FIRST_WAIT_MS = 1000;
const LAST_WAIT_MS = 15_000;
const RATE_WINDOW_MS = 5000;
const running = new Map<string, AbortController>();

/** Begins an upload. @throws ApiProblem when the server refuses name, size or kind */
export async function startUpload(
  file: File,
  options: { readonly name: string; readonly kind?: ImageKind; readonly sha256?: string },
): Promise<void> {
  const upload = await api('POST /images/uploads', {
    body: {
      name: options.name,
      sizeBytes: file.size,
      ...(options.kind ? { kind: options.kind } : {}),
      ...(options.sha256 ? { sha256: options.sha256 } : {}),
    },
  });
  void send(file, upload);
}

/** Goes on with an upload that this page did not start, or that failed. The file must be the same one: at least its size is looked at. */
export function resumeUpload(file: File, upload: Upload): boolean {
  if (file.size !== upload.sizeBytes) return false;
  void send(file, upload);
  return true;
}

/** Stops sending and tells the server to forget what it has. */
export async function giveUpUpload(id: string): Promise<void> {
  running.get(id)?.abort();
  forget(id);
  await api('DELETE /images/uploads/{id}', { params: { id } });
}

window.addEventListener('beforeunload', (event) => {
  if (running.size > 0) event.preventDefault();
});

async function send(file: File, upload: Upload): Promise<void> {
  const stop = new AbortController();
  running.set(upload.id, stop);
  const rate = createRate();
  let offset = upload.offset;
  let failures = 0;
  const show = (change: Partial<LocalUpload>) => {
    const before = localUploads.peek().get(upload.id) ?? {
      id: upload.id,
      name: upload.name,
      sizeBytes: file.size,
      sentBytes: offset,
      bytesPerSecond: null,
      state: 'sending',
      problem: null,
    };
    localUploads.value = new Map(localUploads.peek()).set(upload.id, { ...before, ...change });
  };
  show({ state: 'sending', problem: null });
  try {
    while (offset < file.size) {
      try {
        const start = offset;
        const answer = await sendChunk(upload.id, file.slice(start, start + CHUNK_BYTES), start, stop.signal, (sent) =>
          show({ state: 'sending', sentBytes: start + sent, bytesPerSecond: rate(start + sent) }),
        );
        offset = answer.offset;
        failures = 0;
        show({ state: 'sending', sentBytes: offset, problem: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        if (!isWorthRetrying(error)) throw error;
        failures += 1;
        show({ state: 'waiting', problem: problemOf(error), bytesPerSecond: null });
        await pause(Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)), stop.signal);
        if (stop.signal.aborted) return;
        offset = await whereServerStands(upload.id, offset);
      }
    }
    forget(upload.id);
    showToast({
      kind: 'info',
      title: text.upload.received(upload.name),
      detail: text.upload.checking,
      links: [{ href: '/operations', label: text.operations.all }],
    });
  } catch (error) {
    show({ state: 'failed', problem: problemOf(error), bytesPerSecond: null });
    showToast({
      kind: 'bad',
      title: text.upload.failed(upload.name),
      detail: problemOf(error).detail,
      links: [{ href: '/images', label: text.pages.images }],
    });
  } finally {
    running.delete(upload.id);
  }
}

/** Lost connections and a tired server pass; 409 means that the server stands elsewhere than we thought. */
function isWorthRetrying(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  return (
    error instanceof ApiProblem &&
    (error.problem.status >= 500 ? error.problem.status !== 507 : [408, 409, 429].includes(error.problem.status))
  );
}

async function whereServerStands(id: string, fallback: number): Promise<number> {
  try {
    return (await api('GET /images/uploads/{id}', { params: { id } })).offset;
  } catch (error) {
    if (isWorthRetrying(error)) return fallback;
    throw error;
  }
}

/** One PATCH. XMLHttpRequest, because fetch tells nothing about how far a body is sent. */
function sendChunk(
  id: string,
  chunk: Blob,
  offset: number,
  stop: AbortSignal,
  onProgress: (sentBytes: number) => void,
): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('PATCH', `/api/v1/images/uploads/${encodeURIComponent(id)}`);
    request.setRequestHeader('content-type', 'application/offset+octet-stream');
    request.setRequestHeader('upload-offset', String(offset));
    request.setRequestHeader('accept', 'application/json');
    request.upload.onprogress = (event) => onProgress(event.loaded);
    const onStop = () => request.abort();
    stop.addEventListener('abort', onStop);
    request.onloadend = () => stop.removeEventListener('abort', onStop);
    request.onerror = () => reject(new Unreachable(null));
    request.onabort = () => reject(new Unreachable(null));
    request.onload = () => {
      const answer: unknown = parse(request.responseText);
      if (request.status >= 200 && request.status < 300 && isUpload(answer)) resolve(answer);
      else
        reject(
          new ApiProblem({
            type: 'about:blank',
            title: text.errors.unknown.title,
            status: request.status,
            code: 'internal_error',
            detail: `HTTP ${request.status}`,
            hint: text.errors.unknown.hint,
            requestId: '',
            ...(typeof answer === 'object' ? answer : {}),
          }),
        );
    };
    request.send(chunk);
  });
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // A proxy answered with something else; the status says what happened.
    return null;
  }
}

function isUpload(answer: unknown): answer is Upload {
  return typeof answer === 'object' && answer !== null && 'offset' in answer && typeof answer.offset === 'number';
}

/** Bytes per second over the last few seconds. */
function createRate(): (sentBytes: number) => number | null {
  const points: { readonly at: number; readonly sentBytes: number }[] = [];
  return (sentBytes) => {
    const at = performance.now();
    points.push({ at, sentBytes });
    while (points.length > 2 && (points[0]?.at ?? at) < at - RATE_WINDOW_MS) points.shift();
    const first = points[0];
    return first && at - first.at > 500 ? Math.max(0, ((sentBytes - first.sentBytes) / (at - first.at)) * 1000) : null;
  };
}

function forget(id: string): void {
  const next = new Map(localUploads.peek());
  next.delete(id);
  localUploads.value = next;
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      window.clearTimeout(timer);
      window.removeEventListener('online', done);
      stop.removeEventListener('abort', done);
      resolve();
    };
    const timer = window.setTimeout(done, ms);
    window.addEventListener('online', done);
    stop.addEventListener('abort', done);
  });
}
