/** A line between two programs as they are far away: a TCP relay that passes so many bytes in a second, or stops in the middle without
 *  closing anything, and goes on when it is told to. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { freePort } from './free-port.ts';

// A process of its own: it has to be where the two programs are, which may be in the namespaces of a libvirtd of a test.
const RELAY = `
const net = require('node:net');
const [to, from] = process.argv.slice(1).map(Number);
const PACKET = 1460;
const say = (text) => process.stdout.write(text + '\\n');
const ways = new Set();
let rate = Infinity, budget = Infinity, left = Infinity, passed = 0;
function passPacket({ source, sink }) {
  const size = Math.min(PACKET, source.readableLength, budget, left);
  if (sink.writableNeedDrain || size < 1) return false;
  const packet = source.read(Math.floor(size));
  if (packet === null) return false;
  budget -= packet.length;
  passed += packet.length;
  left -= packet.length;
  sink.write(packet);
  if (left < 1) say('stalled');
  return true;
}
function pass() {
  // A packet of each in turn, as on a real line: who was served stands behind the others, also when the next budget comes.
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    for (const way of [...ways]) if (passPacket(way)) { isMoving = true; ways.delete(way); ways.add(way); }
  }
  for (const way of ways) if (way.isEnding && way.source.readableLength === 0 && left >= 1) { ways.delete(way); way.sink.end(); }
}
setInterval(() => { if (rate !== Infinity) { budget = Math.min(rate / 4, budget + rate / 20); pass(); } }, 50);
net.createServer({ allowHalfOpen: true }, (outer) => {
  const inner = net.connect({ port: to, host: '127.0.0.1', allowHalfOpen: true });
  const both = [{ source: outer, sink: inner, isEnding: false }, { source: inner, sink: outer, isEnding: false }];
  const drop = () => { outer.destroy(); inner.destroy(); for (const way of both) ways.delete(way); };
  for (const way of both) {
    ways.add(way);
    way.source.on('readable', pass).on('end', () => { way.isEnding = true; pass(); }).on('error', drop).on('close', drop);
    way.sink.on('drain', pass);
  }
}).listen(from, '127.0.0.1', () => say('ready'));
require('node:readline').createInterface(process.stdin).on('line', (line) => {
  const [word, number] = line.split(' ');
  if (word === 'rate') { rate = Number(number); budget = rate === Infinity ? Infinity : 0; }
  if (word === 'stall') left = Number(number);
  if (word === 'go') left = Infinity;
  pass();
  say('did ' + passed);
}).on('close', () => process.exit(0));
`;

export interface SlowLine {
  readonly port: number;
  /** Of both ways and all connections together; null = as fast as it goes. */
  limit(bytesPerSecond: number | null): Promise<void>;
  /** Passes so many bytes more, then nothing, and closes nothing. `stalled` resolves when that is so. */
  stallAfter(bytes: number): Promise<{ readonly stalled: Promise<void> }>;
  /** Passes on what waits and all that comes. */
  goOn(): Promise<void>;
  /** What it passed since it was started. */
  passedBytes(): Promise<number>;
  close(): Promise<void>;
}

/** @param options.to port that it leads to
 *  @param options.enter begins programs where both are */
export async function startSlowLine(options: {
  readonly to: number;
  readonly enter?: (argv: readonly string[]) => readonly [string, ...string[]];
}): Promise<SlowLine> {
  const port = await freePort();
  const argv = [process.execPath, '-e', RELAY, String(options.to), String(port)];
  const [program = '', ...args] = options.enter?.(argv) ?? argv;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout);
  const waiting: ((line: string) => void)[] = [];
  let tellStalled: () => void = () => undefined;
  lines.on('line', (line) => {
    if (line === 'stalled') tellStalled();
    else waiting.shift()?.(line);
  });
  const answer = () => new Promise<string>((resolve) => void waiting.push(resolve));
  const ask = async (line: string) => {
    const said = answer();
    child.stdin.write(`${line}\n`);
    return Number((await said).split(' ')[1]);
  };
  const ready = answer();
  await Promise.race([
    ready,
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the line ended with ${code}`))),
  ]);
  return {
    port,
    async limit(bytesPerSecond) {
      await ask(`rate ${bytesPerSecond ?? 'Infinity'}`);
    },
    async stallAfter(bytes) {
      const stalled = new Promise<void>((resolve) => {
        tellStalled = resolve;
      });
      await ask(`stall ${bytes}`);
      return { stalled };
    },
    async goOn() {
      await ask('go');
    },
    passedBytes: () => ask('tell'),
    async close() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
