/** What can go wrong with a disk that is read over NBD. Paths of sockets go to the cause only, which stays in the log. */

import { stripVTControlCharacters } from 'node:util';
import { AppError, defineErrors, registerErrors } from '#kernel/errors.ts';

export const nbdErrors = defineErrors({
  nbd_unreachable: {
    status: 503,
    title: 'The server of a disk’s data does not answer',
    hint: 'Try again; when it stays so, look whether the VM or the export that serves the disk still runs.',
  },
  nbd_refused: {
    status: 502,
    title: 'The server of a disk’s data refuses it',
    hint: 'Check the name of the disk, and the certificates when the connection is encrypted; the log has the server’s reason.',
  },
  nbd_protocol_broken: {
    status: 502,
    title: 'The server of a disk’s data does not keep to the protocol',
    hint: 'Check what listens there: it should be QEMU or hyperd of the same version. The log says what it sent.',
  },
  nbd_read_failed: {
    status: 502,
    title: 'A part of a disk cannot be read',
    hint: 'Check the storage of the host (`dmesg`, `hv preflight`); the message names the place on the disk.',
  },
});
registerErrors(nbdErrors);

/** The peer sent what the protocol does not allow. The connection cannot be used further. */
export function protocolBroken(what: string): AppError {
  return new AppError('nbd_protocol_broken', { detail: `The server of the disk’s data sent ${what}.` });
}

const LONGEST_TEXT = 200;

/** Text of the peer, fit for a message: one line, without control characters, not long. */
export function peerText(bytes: Buffer): string {
  const text = stripVTControlCharacters(bytes.toString('utf8'))
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
