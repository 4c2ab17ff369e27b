/** A process that takes messages in the shape of Alertmanager's webhook and counts the alerts in them. Prints its port; answers how many came. */

import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const messageSchema = z.object({ alerts: z.array(z.unknown()) });

let alerts = 0;
const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    const message = messageSchema.parse(await json(request));
    alerts += message.alerts.length;
  }
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ alerts }));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address !== 'string') process.stdout.write(`${address.port}\n`);
});
process.once('SIGTERM', () => server.close(() => process.exit()));
