/** Loaded into each test process before its tests: property tests draw from the run's seed, so that `./hv test --seed N` repeats them,
 *  and the runner learns how many cases they tried. */

import { writeSync } from 'node:fs';
import fc from 'fast-check';

const STDOUT = 1;
let properties = 0;
let cases = 0;

fc.configureGlobal({
  seed: Number(process.env['HV_TEST_SEED'] ?? 1),
  reporter(details) {
    properties += 1;
    cases += details.numRuns;
    if (details.failed) throw new Error(fc.defaultReportMessage(details), { cause: details.errorInstance });
  },
});

process.on('exit', () => {
  if (properties > 0) writeSync(STDOUT, `# properties: ${properties} tried with ${cases} cases\n`);
});
