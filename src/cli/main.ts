/** Entry of the command line, called by `./hv <noun> <verb> …`. */

import { run } from './run.ts';

// A reader that went away (`hv vm list | head`) ends the program quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

process.exitCode = await run(process.argv.slice(2));
