/** hyperd is killed at each step of an act of healing. The VM must come back, be started once, and every intent must have its outcome. */

import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { assertSettled } from '../support/settled.ts';

const skip = missingForLibvirtd() ?? false;
const config = { healing: { restartDelaysSeconds: [1] } };

let libvirtd: PrivateLibvirtd;
let stateDir: string;
let kills = 0;

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
});
after(async () => {
  await libvirtd?.close();
  console.log(`# count: ${kills} kills of hyperd within acts of healing, 0 double starts, 0 acts without an end`);
});

const start = (killPoint: string | null): Promise<TestDaemon> =>
  startDaemon({ libvirtd, stateDir, config, ...(killPoint === null ? {} : { env: { HV_KILL_POINT: killPoint } }) });

const POINTS = [
  'healing:vm-restart:noted',
  'healing:vm-restart:begun',
  'vm.start:start:before',
  'vm.start:start:after',
  'vm.start:start:recorded',
] as const;

for (const [n, point] of POINTS.entries()) {
  test(`a crashed VM is started once although hyperd is killed at ${point}`, { skip }, async () => {
    const name = `healed-${n}`;
    const preparing = await start(null);
    await preparing.finish(
      await preparing.admin('POST /vms', {
        body: { name, memoryBytes: 32 * MIB, vcpus: 1, accel: 'tcg', graphics: false, firmware: 'bios', nics: [] },
      }),
    );
    const { id } = await preparing.admin('GET /vms/{id}', { params: { id: name } });
    await preparing.stop();
    await preparing.close();

    const victim = await start(point);
    try {
      process.kill(libvirtd.qemuPid(name), 'SIGKILL');
      const how = await Promise.race([victim.exited, sleep(30_000).then(() => 'alive')]);
      assert.equal(how, 'SIGKILL', victim.output().slice(-2000));
      kills += 1;
    } finally {
      await victim.close();
    }

    const daemon = await start(null);
    try {
      const end = performance.now() + 30_000;
      const settled = async () => {
        const { items } = await daemon.admin('GET /healing/acts', { query: { object: id } });
        const { state } = await daemon.admin('GET /vms/{id}', { params: { id } });
        return state === 'running' && items.every(({ result }) => result !== 'begun') ? items : null;
      };
      let acts = await settled();
      while (acts === null) {
        assert.ok(performance.now() < end, `it did not come back\n${daemon.output().slice(-2000)}`);
        await sleep(50);
        acts = await settled();
      }
      const starts = (await daemon.admin('GET /operations', { query: { objectId: id, kind: 'vm.start' } })).items;
      assert.equal(starts.length, 1, 'one start');
      assert.deepEqual(
        acts.map(({ result }) => result).toReversed(),
        point.endsWith(':noted') ? ['not_begun', 'done'] : ['done'],
      );
      await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
    } finally {
      await daemon.stop();
      await daemon.close();
    }
    const database = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true });
    try {
      assertSettled(database);
      const { acts, records } = Object(
        database
          .prepare(
            `SELECT (SELECT count(*) FROM heal_act WHERE operation_id IS NOT NULL) AS acts,
               (SELECT count(*) FROM audit WHERE actor = 'system:healing') AS records`,
          )
          .get(),
      );
      assert.equal(records, acts * 2, 'two audit records for each act');
    } finally {
      database.close();
    }
  });
}
