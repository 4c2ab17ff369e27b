/** Projects by id, name and number. A VM of project k is called `p<k>-<name>` in libvirt, so that whose it is can be read off its name,
 *  by us and by polkit's rules; the default project's names have no prefix. */

import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { ResourceType } from '#contract/projects.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';

/** A number fits the user names `hv-p<k>`. */
const MAX_NUMBER = 9999;

export interface ProjectRow {
  readonly id: string;
  readonly name: string;
  readonly title: string | null;
  readonly number: number;
  readonly createdAt: string;
}

interface ProjectTables {
  project: { id: string; name: string; title: string | null; number: number; created_at: string };
  project_resource: { project_id: string; type: ResourceType; resource_id: string };
}

export const registryMigration: Migration = {
  id: '001-projects',
  statements: [
    `CREATE TABLE project(
       id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, title TEXT, number INTEGER NOT NULL UNIQUE CHECK(number BETWEEN 0 AND 9999),
       created_at TEXT NOT NULL) STRICT`,
    `CREATE TABLE project_resource(
       project_id TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE, type TEXT NOT NULL CHECK(type IN ('network','pool','image')),
       resource_id TEXT NOT NULL, PRIMARY KEY(project_id, type, resource_id)) STRICT`,
    `INSERT INTO project SELECT 'default', 'default', NULL, 0, strftime('%Y-%m-%dT%H:%M:%fZ','now')`,
  ],
};

export interface ProjectResource {
  readonly type: ResourceType;
  readonly id: string;
}

export interface Registry {
  all(): readonly ProjectRow[];
  /** By id or name. */
  get(idOrName: string): ProjectRow | null;
  /** What the project may use beside what is its own. */
  resources(projectId: string): readonly ProjectResource[];
  /** The projects that may use this network, pool or image. */
  usersOf(type: ResourceType, id: string): readonly string[];
  /** Whose a domain is, and what people call it. A prefix that belongs to no project is part of the name. */
  ofDomain(domainName: string): { readonly project: string; readonly name: string };
  /** What a VM of this project is called in libvirt. */
  domainName(projectId: string, name: string): string;
  /** The lowest number that no project has and nothing else speaks for; null when all are taken.
   *  @param isUsed a new project must not find things there that are called as if they were its own */
  freeNumber(isUsed: (number: number) => boolean): number | null;
  /** False for a project that is not there, or is being deleted at this moment. */
  isOpen(id: string): boolean;
  insert(row: ProjectRow, resources: readonly ProjectResource[]): Promise<void>;
  update(
    id: string,
    values: { name: string; title: string | null },
    resources: readonly ProjectResource[] | null,
  ): Promise<void>;
  remove(id: string): Promise<void>;
  load(): Promise<void>;
}

export function createRegistry(db: Database): Registry {
  let rows: readonly ProjectRow[] = [];
  let resources: readonly (ProjectResource & { readonly projectId: string })[] = [];
  let byNumber = new Map<number, ProjectRow>();
  /** Projects whose deletion is on its way to the file. */
  const leaving = new Set<string>();
  const tables = (source: Database | Transaction = db) => source.tables<ProjectTables>();

  const load = async () => {
    rows = (await tables().selectFrom('project').selectAll().orderBy('name').execute()).map(
      ({ created_at, ...row }) => ({ ...row, createdAt: created_at }),
    );
    byNumber = new Map(rows.map((row) => [row.number, row]));
    resources = (await tables().selectFrom('project_resource').selectAll().execute()).map((row) => ({
      projectId: row.project_id,
      type: row.type,
      id: row.resource_id,
    }));
  };
  const giveResources = async (tx: Transaction, projectId: string, wanted: readonly ProjectResource[]) => {
    for (const one of wanted)
      await tables(tx)
        .insertInto('project_resource')
        .values({ project_id: projectId, type: one.type, resource_id: one.id })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
  };
  const get = (idOrName: string) =>
    rows.find(({ id }) => id === idOrName) ?? rows.find(({ name }) => name === idOrName) ?? null;

  return {
    all: () => rows,
    get,
    resources: (projectId) =>
      resources.filter((one) => one.projectId === projectId).map(({ type, id }) => ({ type, id })),
    usersOf: (type, id) => resources.filter((one) => one.type === type && one.id === id).map((one) => one.projectId),
    ofDomain(domainName) {
      const [, number = '', name = ''] = /^p([1-9][0-9]{0,3})-(.+)$/s.exec(domainName) ?? [];
      const owner = number === '' ? undefined : byNumber.get(Number(number));
      return owner ? { project: owner.id, name } : { project: DEFAULT_PROJECT, name: domainName };
    },
    domainName(projectId, name) {
      const number = get(projectId)?.number ?? 0;
      return number === 0 ? name : `p${number}-${name}`;
    },
    isOpen: (id) => rows.some((row) => row.id === id) && !leaving.has(id),
    freeNumber(isUsed) {
      for (let number = 1; number <= MAX_NUMBER; number += 1)
        if (!byNumber.has(number) && !isUsed(number)) return number;
      return null;
    },
    async insert(row, wanted) {
      const { createdAt, ...rest } = row;
      await db.transaction(async (tx) => {
        await tables(tx)
          .insertInto('project')
          .values({ ...rest, created_at: createdAt })
          .execute();
        await giveResources(tx, row.id, wanted);
      });
      await load();
    },
    async update(id, values, wanted) {
      await db.transaction(async (tx) => {
        await tables(tx).updateTable('project').set(values).where('id', '=', id).execute();
        if (wanted === null) return;
        await tables(tx).deleteFrom('project_resource').where('project_id', '=', id).execute();
        await giveResources(tx, id, wanted);
      });
      await load();
    },
    async remove(id) {
      leaving.add(id);
      try {
        await tables().deleteFrom('project').where('id', '=', id).execute();
        await load();
      } finally {
        leaving.delete(id);
      }
    },
    load,
  };
}
