/** Reaches a TCP port inside a network namespace from outside: outer port -> Unix socket -> a process inside -> inner port. */

import { spawn } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';

// Runs inside: hands each connection of the Unix socket to the inner port.
const INNER = `
const net = require('node:net');
net.createServer({ allowHalfOpen: true }, (outer) => {
  const inner = net.connect({ port: Number(process.argv[2]), host: '127.0.0.1', allowHalfOpen: true });
  outer.on('error', () => inner.destroy()); inner.on('error', () => outer.destroy());
  outer.on('close', () => inner.destroy()); inner.on('close', () => outer.destroy());
  outer.pipe(inner).pipe(outer);
}).listen(process.argv[1], () => process.stdout.write('ready'));
process.stdin.on('end', () => process.exit(0)).resume();
`;

export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

export async function startRelay(options: {
  readonly enter: (argv: readonly string[]) => readonly [string, ...string[]];
  readonly socketPath: string;
  readonly port: number;
}): Promise<Relay> {
  const [program, ...args] = options.enter([process.execPath, '-e', INNER, options.socketPath, String(options.port)]);
  const inner = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    inner.stdout.once('data', resolve);
    inner.once('exit', (code) => reject(new Error(`the relay ended with ${code}`)));
  });
  const sockets = new Set<Socket>();
  const server = createServer((outer) => {
    const unix = connect(options.socketPath);
    for (const [one, other] of [
      [outer, unix],
      [unix, outer],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    outer.pipe(unix).pipe(outer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the relay has no port');
  return {
    port: address.port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      const gone = new Promise((resolve) => inner.once('exit', resolve));
      inner.stdin.end();
      await gone;
    },
  };
}
