/** Threads for what takes processor time, shared by all that a repository does at once and ended when the last of it ends. */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { PoolAnswer, PoolSettings, PoolTask } from './pool-messages.ts';
// Compiled and kept with the rest of the program: the first thread that has to compile it takes 13 MiB and 90 ms more (measured).
import './object-worker.ts';

/** Each takes some 12 MiB, and its share of the bytes in flight. */
const MOST_THREADS = 6;
/** One to work on, one to go on with. */
const TASKS_PER_THREAD = 2;

export interface Pool {
  /** Waits its turn; the memory of the task's bytes is gone for the caller when it fills its buffer.
   *  @throws Error when a thread ended */
  run(task: PoolTask): Promise<PoolAnswer>;
}

export interface SharedPool {
  /** Call `release` exactly once.
   *  @param options.isWaitedFor nothing but what the threads give is waited for: then there is one for every core, otherwise one is left to
   *    the thread that reads and writes, and to guests */
  acquire(options?: { readonly isWaitedFor?: boolean }): { readonly pool: Pool; release(): Promise<void> };
}

export function createSharedPool(settings: PoolSettings): SharedPool {
  let users = 0;
  let running: ReturnType<typeof startPool> | null = null;
  return {
    acquire({ isWaitedFor = false } = {}) {
      users += 1;
      running ??= startPool(settings);
      running.growTo(availableParallelism() - (isWaitedFor ? 0 : 1));
      return {
        pool: running.pool,
        async release() {
          users -= 1;
          if (users > 0 || !running) return;
          const { end } = running;
          running = null;
          await end();
        },
      };
    },
  };
}

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, (answer: PoolAnswer | Error) => void>;
}

function startPool(settings: PoolSettings): { readonly pool: Pool; growTo(count: number): void; end(): Promise<void> } {
  const queue: { readonly task: PoolTask; readonly settle: (answer: PoolAnswer | Error) => void }[] = [];
  let last = 0;
  let failure: Error | null = null;
  const threads: Thread[] = [startThread()];

  function startThread(): Thread {
    const worker = new Worker(new URL('./object-worker.ts', import.meta.url), {
      workerData: settings,
      // What it works on lies outside of the heap.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    // Idle threads do not keep the process alive.
    worker.unref();
    const thread: Thread = { worker, waiting: new Map() };
    worker.on('message', ({ n, answer }: { readonly n: number; readonly answer: PoolAnswer }) => {
      const settle = thread.waiting.get(n);
      thread.waiting.delete(n);
      if (thread.waiting.size === 0) worker.unref();
      settle?.(answer);
      next();
    });
    worker.on('error', (error) => fail(error));
    worker.on('exit', () => fail(new Error('a thread that packs objects ended')));
    return thread;
  }

  function next(): void {
    for (;;) {
      const free = threads.reduce((best, each) => (each.waiting.size < best.waiting.size ? each : best));
      if (free.waiting.size >= TASKS_PER_THREAD) return;
      const entry = queue.shift();
      if (!entry) return;
      last += 1;
      free.waiting.set(last, entry.settle);
      if (free.waiting.size === 1) free.worker.ref();
      const { task } = entry;
      const memory = task.does === 'pack' ? task.bytes : task.bytes.buffer;
      const isWhole = memory instanceof ArrayBuffer && memory.byteLength === task.bytes.byteLength;
      free.worker.postMessage({ n: last, task }, isWhole ? [memory] : []);
    }
  }

  function fail(error: unknown): void {
    failure ??= error instanceof Error ? error : new Error(String(error));
    for (const { settle } of queue.splice(0)) settle(failure);
    for (const { waiting } of threads) {
      for (const settle of waiting.values()) settle(failure);
      waiting.clear();
    }
  }

  return {
    pool: {
      async run(task) {
        if (failure) throw failure;
        const answer = await new Promise<PoolAnswer | Error>((settle) => {
          queue.push({ task, settle });
          next();
        });
        if (answer instanceof Error) throw answer;
        if (answer.is === 'failed') throw new Error(answer.reason);
        return answer;
      },
    },
    growTo(count) {
      while (threads.length < Math.min(MOST_THREADS, count)) threads.push(startThread());
      next();
    },
    async end() {
      for (const { worker } of threads) worker.removeAllListeners('exit');
      fail(new Error('the repository was closed'));
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
}
