/** Opens the transport that a target asks for. */

import { hasErrno } from '#kernel/errors.ts';
import type { LibvirtTarget } from '../uri.ts';
import { connectSsh, type SshOptions } from './ssh.ts';
import { connectTls, type TlsCredentials } from './tls.ts';
import type { ConnectOptions, Transport } from './transport.ts';
import { connectUnix } from './unix.ts';

export interface TransportOptions {
  /** For `qemu+tls`. */
  readonly tls?: TlsCredentials;
  /** For `qemu+ssh`. */
  readonly ssh?: SshOptions;
  readonly isReadOnly?: boolean;
}

/** @throws system errors, LibvirtError certificate_refused, or the signal's reason */
export async function connectTransport(
  target: LibvirtTarget,
  options: TransportOptions,
  connect: ConnectOptions,
): Promise<Transport> {
  const { transport } = target;
  switch (transport.kind) {
    case 'unix':
      return connectFirst(transport.socketPaths, connect);
    case 'ssh':
      return connectSsh(
        { ...transport, openUri: target.openUri, isReadOnly: options.isReadOnly ?? false },
        options.ssh ?? {},
        connect,
      );
    case 'tls':
      return connectTls(transport, options.tls, connect);
  }
}

async function connectFirst(paths: readonly string[], connect: ConnectOptions): Promise<Transport> {
  let last: unknown = new Error('no socket is named');
  for (const path of paths) {
    try {
      return await connectUnix(path, connect);
    } catch (error) {
      // A missing or left-over socket of one daemon says nothing about the next.
      if (!hasErrno(error, 'ENOENT', 'ECONNREFUSED')) throw error;
      last = error;
    }
  }
  throw last;
}
