/** Streams what the API sends as bytes into a new file. */

import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { ApiProblem } from '#contract/client.ts';
import { hasErrno } from '#kernel/errors.ts';
import type { CommandContext } from './context.ts';
import { usageFailure } from './failure.ts';

/** @returns its bytes @throws Failure exit 2 when the file is there; half of a download is removed */
export async function download({ transport }: CommandContext, path: string, file: string): Promise<number> {
  const { status, body } = await transport.open({ method: 'GET', path });
  if (status !== 200) {
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    throw new ApiProblem(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  }
  let bytes = 0;
  const out = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  try {
    await pipeline(
      body,
      async function* count(parts: AsyncIterable<Uint8Array>) {
        for await (const part of parts) {
          bytes += part.length;
          yield part;
        }
      },
      out,
    );
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) throw usageFailure(`"${file}" is there already`, 'Name another file.');
    await rm(file, { force: true });
    throw error;
  }
  return bytes;
}
