/** A program that takes what a webhook channel posts: prints its port, then each body on a line of its own. It runs where the daemon is,
 *  which may be another network namespace than that of the test. */

import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    process.stdout.write(`${Buffer.concat(parts).toString()}\n`);
    response.end('ok');
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' && address !== null ? address.port : 0}\n`);
});
process.stdin.on('end', () => process.exit(0)).resume();
