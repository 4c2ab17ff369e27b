/** Every way to reach libvirt: read-only socket, mutual TLS with right, wrong and no certificate, SSH with its helper. */

import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLibvirtHost, type LibvirtError, type LibvirtHostOptions } from '#libvirt/index.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

describe('transports of the libvirt client', { skip }, () => {
  let daemon: PrivateLibvirtd;

  before(async () => {
    daemon = await startPrivateLibvirtd({ tls: true });
    // A stand-in for ssh: reaches only the host called "kvm-1", and runs the helper inside the namespaces.
    const script = [
      '#!/bin/sh',
      'while [ "$1" != -- ]; do shift; done',
      'shift; [ "$1" = kvm-1 ] || { echo "Could not resolve hostname $1" >&2; exit 255; }',
      'shift',
      `exec ${daemon.enter([]).join(' ')} "$@"`,
    ];
    await writeFile(join(daemon.dir, 'ssh'), script.join('\n'));
    await chmod(join(daemon.dir, 'ssh'), 0o755);
  });
  after(() => daemon?.close());

  async function attempt(options: LibvirtHostOptions): Promise<{ version: string | null; error: LibvirtError | null }> {
    const host = createLibvirtHost(options);
    try {
      await host.start();
      return {
        version: host.state.status === 'connected' ? await host.node.libVersion() : null,
        error: host.state.error,
      };
    } finally {
      await host.stop();
    }
  }

  function tlsOptions(files: { ca?: string; cert?: string; key?: string } = {}): LibvirtHostOptions {
    assert.ok(daemon.tls);
    const { port, certificates } = daemon.tls;
    return {
      uri: `qemu+tls://localhost:${port}/system`,
      tls: {
        caFile: files.ca ?? certificates.caFile,
        certFile: files.cert ?? certificates.clientCertFile,
        keyFile: files.key ?? certificates.clientKeyFile,
      },
    };
  }

  test('TLS with the right certificate connects, and pipelined calls do not wait for the next ping', async () => {
    const startedMs = performance.now();
    const { version, error } = await attempt(tlsOptions());
    assert.equal(error, null);
    assert.match(version ?? '', /^\d/);
    assert.ok(performance.now() - startedMs < 4_000, 'below the keepalive interval');
  });

  test('TLS with a certificate of a foreign CA is certificate_refused', async () => {
    const foreign = daemon.tls?.certificates;
    const { error } = await attempt(
      tlsOptions({ cert: foreign?.foreignCertFile ?? '', key: foreign?.foreignKeyFile ?? '' }),
    );
    assert.equal(error?.code, 'certificate_refused');
  });

  test('a host whose certificate we do not trust is certificate_refused', async () => {
    const { error } = await attempt(tlsOptions({ ca: daemon.tls?.certificates.foreignCaFile ?? '' }));
    assert.equal(error?.code, 'certificate_refused');
  });

  test('a missing certificate file says so', async () => {
    const { error } = await attempt(tlsOptions({ cert: '/nonexistent.pem' }));
    assert.match(String(error?.cause), /nonexistent/);
  });

  test('SSH runs the helper on the host', async () => {
    const { version, error } = await attempt({
      uri: 'qemu+ssh://root@kvm-1/system',
      ssh: { program: join(daemon.dir, 'ssh') },
    });
    assert.equal(error, null);
    assert.match(version ?? '', /^\d/);
  });

  test('what ssh complains about is in the cause', async () => {
    const { error } = await attempt({ uri: 'qemu+ssh://kvm-9/system', ssh: { program: join(daemon.dir, 'ssh') } });
    assert.equal(error?.code, 'libvirt_unavailable');
    assert.match(String(error?.cause), /Could not resolve hostname kvm-9/);
  });

  test('the read-only socket reads, and refuses changes as libvirt_forbidden', async () => {
    for (const options of [
      { uri: daemon.uri, socketPath: daemon.readOnlySocketPath, isReadOnly: true },
      { uri: 'qemu+ssh://kvm-1/system', ssh: { program: join(daemon.dir, 'ssh') }, isReadOnly: true },
    ]) {
      const host = createLibvirtHost(options);
      await host.start();
      assert.deepEqual(await host.domains.list(), []);
      const xml = "<network><name>n</name><bridge name='b'/></network>";
      await assert.rejects(host.networks.define(xml), (error: LibvirtError) => error.code === 'libvirt_forbidden');
      await host.stop();
    }
  });
});
