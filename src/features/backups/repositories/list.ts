/** The rows of repositories, also in memory: many ask where something lies. */

import type { ApiEvents } from '#contract/events.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Database } from '#platform/db/database.ts';
import type { BackupTables, RepositoryRow } from '../tables.ts';

export interface RepositoryList {
  load(): Promise<void>;
  all(): readonly RepositoryRow[];
  find(idOrName: string): RepositoryRow | null;
  /** @throws not_found */
  get(idOrName: string): RepositoryRow;
  /** One that an operation was begun with. @throws not_found when it was forgotten since */
  known(id: string): RepositoryRow;
  insert(row: RepositoryRow): Promise<RepositoryRow>;
  change(id: string, values: Partial<Omit<RepositoryRow, 'id'>>): Promise<void>;
  /** The same, and nobody is told. */
  note(id: string, values: Partial<Omit<RepositoryRow, 'id'>>): Promise<void>;
  remove(id: string): Promise<void>;
}

export function createRepositoryList(db: Database, events: EventBus<ApiEvents>): RepositoryList {
  const tables = () => db.tables<BackupTables>();
  let rows: readonly RepositoryRow[] = [];

  const load = async () => {
    rows = await tables().selectFrom('repository').selectAll().orderBy('name').execute();
  };
  const changed = async (id: string) => {
    await load();
    events.emit('repository.changed', { id });
  };
  const find = (idOrName: string): RepositoryRow | null =>
    rows.find(({ id }) => id === idOrName) ?? rows.find(({ name }) => name === idOrName) ?? null;
  const note = async (id: string, values: Partial<Omit<RepositoryRow, 'id'>>) => {
    await tables().updateTable('repository').set(values).where('id', '=', id).execute();
    await load();
  };

  return {
    load,
    all: () => rows,
    find,
    get(idOrName) {
      const row = find(idOrName);
      if (!row) throw new AppError('not_found', { detail: `There is no repository "${idOrName.slice(0, 80)}".` });
      return row;
    },
    known(id) {
      const row = find(id);
      if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
      return row;
    },
    async insert(row) {
      await tables().insertInto('repository').values(row).execute();
      await changed(row.id);
      return row;
    },
    async change(id, values) {
      await note(id, values);
      events.emit('repository.changed', { id });
    },
    note,
    async remove(id) {
      await tables().deleteFrom('repository').where('id', '=', id).execute();
      await changed(id);
    },
  };
}
