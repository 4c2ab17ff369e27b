/** Where a command writes: results to stdout, everything said to people to stderr, colour only where a terminal wants it. */

import type { WriteStream } from 'node:tty';
import { getSystemErrorMessage } from 'node:util';
import { EXIT } from './exit-codes.ts';
import { textWidth, wrapText } from './text.ts';

const COLOURS = { red: 31, green: 32, yellow: 33, blue: 34, cyan: 36, grey: 90, bold: 1 } as const;
export type Colour = keyof typeof COLOURS;

export type Paint = (colour: Colour, text: string) => string;

export interface Output {
  /** True when the caller wants machine output: only `json()` may write to stdout. */
  readonly isJson: boolean;
  readonly isInteractive: boolean;
  /** Columns of stdout; Infinity when it is not a terminal. */
  readonly width: number;
  /** Columns of stderr, or null when it is not a terminal. */
  readonly messageWidth: number | null;
  readonly paint: Paint;
  readonly paintMessage: Paint;
  /** Text to stdout, a line feed is added. */
  line(text: string): void;
  /** One JSON document to stdout. */
  json(value: unknown): void;
  /** Bytes to stdout as they are. */
  bytes(data: Uint8Array): void;
  /** Text for people, to stderr; a line feed is added. */
  message(text: string): void;
  /** To stderr as it is, for lines that are drawn again. */
  raw(text: string): void;
}

function wantsColour(stream: WriteStream, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

function paintFor(isOn: boolean): Paint {
  return isOn ? (colour, text) => `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : (_colour, text) => text;
}

/** A message broken between words for a terminal; further lines keep its indentation. */
function wrapMessage(text: string, width: number | null): string {
  if (width === null || textWidth(text) <= width) return text;
  const indent = /^ */.exec(text)?.[0] ?? '';
  return wrapText(text.trim(), Math.max(20, width - indent.length))
    .map((line) => indent + line)
    .join('\n');
}

/** Ends the program when its result can no longer be written: quietly where the reader went away (`hv vm list | head`), else
 *  with exit 1 and the reason. */
export function endWithBrokenOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.done);
    const reason = error.errno === undefined ? error.message : getSystemErrorMessage(error.errno);
    process.stderr.write(`hv: the result could not be written to stdout: ${reason}\n`);
    process.stderr.write('  What the command changed stays changed; send the output to a place that takes it.\n');
    process.exit(EXIT.failed);
  });
}

/** Output on the streams of this process. */
export function processOutput(isJson: boolean, env: NodeJS.ProcessEnv = process.env): Output {
  const { stdin, stdout, stderr } = process;
  return {
    isJson,
    isInteractive: stdin.isTTY === true && stderr.isTTY === true,
    width: stdout.isTTY === true ? Math.max(20, stdout.columns || 80) : Number.POSITIVE_INFINITY,
    get messageWidth() {
      return stderr.isTTY === true ? Math.max(20, stderr.columns || 80) : null;
    },
    paint: paintFor(wantsColour(stdout, env)),
    paintMessage: paintFor(wantsColour(stderr, env)),
    line: (text) => void stdout.write(`${text}\n`),
    json: (value) => void stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    bytes: (data) => void stdout.write(data),
    message: (text) => void stderr.write(`${wrapMessage(text, stderr.isTTY === true ? stderr.columns || 80 : null)}\n`),
    raw: (text) => void stderr.write(text),
  };
}
