/** The guests that we make ourselves, booted by a bare QEMU: what tests, the demonstration and preflight rely on. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { HELLO_READY, microGuestAnswer, microGuestCommandLine } from '#platform/hello-disk/index.ts';
import { bootGuest, helloDiskCopy, microGuest, screenColours } from '../support/guest.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-hello-'));
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

test('the micro-guest says its token, which the kernel alone does not, and switches itself off', async () => {
  const { kernel, initrd } = await microGuest();
  const token = `t${Date.now()}`;
  await using guest = await bootGuest({ kernel, initrd, commandLine: microGuestCommandLine(token) });
  await guest.waitForSerial(new RegExp(`^${microGuestAnswer(token)}\r?$`, 'm'));
  assert.equal(await guest.exited, 0);
  assert.equal(guest.serial().split(token).length - 1, 1);
});

test('the hello guest boots from its disk, answers everywhere, keeps its data and obeys the power button', async () => {
  const disk = join(folder, 'hello.qcow2');
  await helloDiskCopy(disk);
  {
    await using guest = await bootGuest({ disk });
    await guest.waitForSerial(new RegExp(`^${HELLO_READY}\r?$`, 'm'));

    assert.deepEqual(await guest.agent('guest-ping'), {});
    assert.equal(await guest.agent('guest-fsfreeze-freeze'), 1);
    assert.equal(await guest.agent('guest-fsfreeze-thaw'), 1);
    await waitForAddress(guest.agent);

    await guest.waitForSerial(/hello:.*# /);
    guest.type('echo "answer $((6 * 7))"; cat /data/boots\n');
    await guest.waitForSerial(/answer 42\r\n1\r\n/);

    for (const key of ['e', 'c', 'h', 'o', 'spc', 'k', 'shift-dot', 'slash', 'd', 'a', 't', 'a', 'slash', 't', 'ret']) {
      const keys = key.split('-').map((data) => ({ type: 'qcode', data }));
      await guest.qmp('send-key', { keys });
      await delay(120);
    }
    guest.type('cat /data/t\n');
    await guest.waitForSerial(/cat \/data\/t\r\nk\r\n/);

    const screen = join(folder, 'screen.ppm');
    await guest.qmp('screendump', { filename: screen });
    assert.ok((await screenColours(screen)) >= 4, 'the screen shows text in several colours');

    await guest.qmp('system_powerdown');
    assert.equal(await guest.exited, 0);
  }
  await using again = await bootGuest({ disk });
  await again.waitForSerial(/hello:.*# /);
  again.type('cat /data/boots /data/t\n');
  await again.waitForSerial(/2\r\nk\r\n/);
  await again.agent('guest-shutdown').catch(() => undefined); // the agent dies with the guest and may not answer
  assert.equal(await again.exited, 0);
});

async function waitForAddress(agent: (command: string) => Promise<unknown>): Promise<void> {
  for (let tries = 100; tries > 0; tries -= 1) {
    if (JSON.stringify(await agent('guest-network-get-interfaces')).includes('10.0.2.15')) return;
    await delay(100);
  }
  assert.fail('the guest got no address by DHCP');
}
