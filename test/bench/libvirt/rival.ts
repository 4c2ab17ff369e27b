/** The C library's side of the comparison, in a process of its own that stays between the rounds. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Rival {
  /** Sends `call 500`, `rate 5000 100` or `stats`; resolves with the figure. */
  measure(command: string): Promise<number>;
  close(): Promise<void>;
}

export async function startRival(uri: string): Promise<Rival> {
  const child = spawn('/usr/bin/python3', [join(import.meta.dirname, 'rival.py'), uri], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) throw new Error('python3-libvirt is not there to compare with');
  return {
    async measure(command) {
      child.stdin.write(`${command}\n`);
      const line = await lines.next();
      if (line.done) throw new Error(`the rival ended at "${command}"`);
      return Number(line.value);
    },
    async close() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await gone;
    },
  };
}
