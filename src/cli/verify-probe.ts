/** What a guest is asked in a proof, as it is written on the command line. */

import type { ProofProbe } from '#contract/verification.ts';
import { usageFailure } from './failure.ts';

/** @throws Failure with exit 2 for what is none */
export function probeOf(text: string, expectText: string | undefined): ProofProbe {
  const tcp = /^tcp:(\d{1,5})$/.exec(text);
  if (tcp) return { kind: 'tcp', port: Number(tcp[1]) };
  const http = /^http:(\d{1,5})(\/.*)?$/.exec(text);
  if (http)
    return {
      kind: 'http',
      port: Number(http[1]),
      path: http[2] ?? '/',
      ...(expectText === undefined ? {} : { expectText }),
    };
  const [program = '', ...args] = text.split(' ').filter((word) => word !== '');
  if (program.startsWith('/')) return { kind: 'script', program, args };
  throw usageFailure(
    `--probe ${JSON.stringify(text)} is nothing that can be asked`,
    'Write tcp:PORT, http:PORT/PATH, or the full path of a program in the guest with its arguments.',
  );
}

export function probeText(probe: ProofProbe): string {
  switch (probe.kind) {
    case 'tcp':
      return `tcp:${probe.port}`;
    case 'http':
      return `http:${probe.port}${probe.path}${probe.expectText === undefined ? '' : `, with ${JSON.stringify(probe.expectText)}`}`;
    case 'script':
      return [probe.program, ...probe.args].join(' ');
  }
}
