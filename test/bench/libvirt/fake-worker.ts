/** A fake host in a thread of its own, so that its work does not count as ours. Does nothing when it is no worker. */

import { parentPort, workerData } from 'node:worker_threads';
import { createFakeHost } from '#libvirt/fake/domains.ts';

if (parentPort) {
  const fake = createFakeHost({ count: 1_000 });
  await fake.listen(String(workerData));
  parentPort.postMessage('ready');
}
