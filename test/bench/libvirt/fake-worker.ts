/** A fake host in a thread of its own, so that its work does not count as ours. */

import { parentPort, workerData } from 'node:worker_threads';
import { createFakeHost } from '#libvirt/fake/domains.ts';

const fake = createFakeHost({ count: 1_000 });
await fake.listen(String(workerData));
parentPort?.postMessage('ready');
