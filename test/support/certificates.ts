/** Certificates for tests: a CA, a host certificate, a client certificate, and a client certificate of a foreign CA. Made with openssl. */

import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface TestCertificates {
  readonly caFile: string;
  readonly hostCertFile: string;
  readonly hostKeyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** Well-formed, but signed by a CA that the host does not know. */
  readonly foreignCaFile: string;
  readonly foreignCertFile: string;
  readonly foreignKeyFile: string;
}

/** @param hostName goes into the host certificate beside 127.0.0.1 */
export async function makeCertificates(dir: string, hostName: string): Promise<TestCertificates> {
  await mkdir(dir, { recursive: true });
  const file = (name: string) => join(dir, name);
  await authority(file, 'ca');
  await authority(file, 'foreign-ca');
  await leaf(file, { name: 'host', ca: 'ca', altNames: `DNS:${hostName},IP:127.0.0.1` });
  await leaf(file, { name: 'client', ca: 'ca', altNames: 'DNS:client' });
  await leaf(file, { name: 'foreign', ca: 'foreign-ca', altNames: 'DNS:client' });
  return {
    caFile: file('ca.pem'),
    hostCertFile: file('host.pem'),
    hostKeyFile: file('host.key'),
    clientCertFile: file('client.pem'),
    clientKeyFile: file('client.key'),
    foreignCaFile: file('foreign-ca.pem'),
    foreignCertFile: file('foreign.pem'),
    foreignKeyFile: file('foreign.key'),
  };
}

async function authority(file: (name: string) => string, name: string): Promise<void> {
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    `/O=hyper-nixos test/CN=${name}`,
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
    '-keyout',
    file(`${name}.key`),
    '-out',
    file(`${name}.pem`),
  ]);
}

/** libvirt 9.0 refuses a certificate without keyEncipherment, for EC keys too. */
async function leaf(
  file: (name: string) => string,
  { name, ca, altNames }: { name: string; ca: string; altNames: string },
): Promise<void> {
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature,keyEncipherment',
    'extendedKeyUsage=serverAuth,clientAuth',
    `subjectAltName=${altNames}`,
  ];
  await writeFile(file(`${name}.ext`), `${extensions.join('\n')}\n`);
  await run('openssl', [
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-subj',
    `/O=hyper-nixos test/CN=${name}`,
    '-keyout',
    file(`${name}.key`),
    '-out',
    file(`${name}.csr`),
  ]);
  await run('openssl', [
    'x509',
    '-req',
    '-in',
    file(`${name}.csr`),
    '-CA',
    file(`${ca}.pem`),
    '-CAkey',
    file(`${ca}.key`),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    file(`${name}.ext`),
    '-out',
    file(`${name}.pem`),
  ]);
}
