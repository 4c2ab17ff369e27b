/** The tables of quotas.
 *  `quota`: limits and what is used, per project and resource. `charge`: what each object holds. `reservation`: what open operations will
 *  have made of an object, and how much of the quota is kept for that. Always: used = Σ charge.amount + Σ reservation.held. */

import type { Migration } from '#platform/db/database.ts';

export const quotaMigrations: readonly Migration[] = [
  {
    id: '001-quota',
    statements: [
      `CREATE TABLE quota(
         project_id TEXT NOT NULL, resource TEXT NOT NULL, hard_limit INTEGER CHECK(hard_limit >= 0),
         used INTEGER NOT NULL DEFAULT 0 CHECK(used >= 0), PRIMARY KEY(project_id, resource)) STRICT`,
      `CREATE TABLE charge(
         resource TEXT NOT NULL, object_id TEXT NOT NULL, project_id TEXT NOT NULL, amount INTEGER NOT NULL CHECK(amount >= 0),
         owner TEXT, PRIMARY KEY(object_id, resource)) STRICT`,
      'CREATE INDEX charge_by_project ON charge(project_id, resource)',
      `CREATE TABLE reservation(
         operation_id TEXT NOT NULL, resource TEXT NOT NULL, object_id TEXT NOT NULL, project_id TEXT NOT NULL,
         target INTEGER NOT NULL CHECK(target >= 0), held INTEGER NOT NULL CHECK(held >= 0), owner TEXT,
         PRIMARY KEY(operation_id, resource, object_id)) STRICT`,
      // The default project holds what belongs to nobody else: it has no limits until somebody sets them.
      `INSERT INTO quota(project_id, resource, hard_limit, used)
         SELECT 'default', value, NULL, 0 FROM
         json_each('["vms","vcpus","memory","disk","snapshots","backups","images","networks"]')`,
    ],
  },
];
