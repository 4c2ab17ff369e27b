/** Is what we keep safe and writable? */

import { type CheckContext, type CheckDefinition, type Finding, fail, ok, warn } from '../check.ts';

const GROUP_OR_OTHERS_WRITE = 0o022;
const OTHERS_READ = 0o004;

/** Holds the journal, sessions and audit. */
const DATABASE = 'state.db';

async function permissions({ machine, settings }: CheckContext): Promise<Finding> {
  const { stateRoot } = settings;
  const root = await machine.facts(stateRoot);
  if (root?.kind !== 'folder')
    return fail(
      `The state folder ${stateRoot} is not there.`,
      `Make it: \`install -d -m 711 ${stateRoot}\`, then restart hyperd.`,
    );
  if (root.uid !== 0 && root.uid !== machine.userId())
    return fail(
      `The state folder ${stateRoot} belongs to another user (${root.uid}), who can change everything in it.`,
      `Take it over: \`chown root ${stateRoot}\`.`,
    );
  if ((root.mode & GROUP_OR_OTHERS_WRITE) !== 0)
    return fail(
      `Others may write in the state folder ${stateRoot} (mode ${root.mode.toString(8)}).`,
      `Close it: \`chmod go-w ${stateRoot}\`.`,
    );
  const database = await machine.facts(`${stateRoot}/${DATABASE}`);
  // Whoever may enter the folder could read an open file in it by its well-known name.
  if (database !== null && (database.mode & OTHERS_READ) !== 0 && (root.mode & 0o001) !== 0) {
    return warn(`Others may read ${stateRoot}/${DATABASE}.`, `Close it: \`chmod o-rwx ${stateRoot}/${DATABASE}*\`.`);
  }
  return ok(`Only its owner may write in the state folder ${stateRoot} (mode ${root.mode.toString(8)}).`);
}

/** A commit takes well below 10 ms on any healthy disk. */
const SLOW_COMMIT_MS = 500;

async function database({ probeDatabase }: CheckContext): Promise<Finding> {
  const { durationMs } = await probeDatabase();
  const detail = `A row was written, made durable and read back in ${Math.round(durationMs)} ms.`;
  return durationMs > SLOW_COMMIT_MS
    ? warn(detail, 'The disk of the state folder is slow or very busy: look at `iostat -x 1`.')
    : ok(detail);
}

export const stateChecks: readonly CheckDefinition[] = [
  {
    id: 'state.permissions',
    title: 'State folder',
    meaning: 'Whether anybody else could change or read what the daemon keeps.',
    run: permissions,
  },
  {
    id: 'state.database',
    title: 'State database',
    meaning: 'A row is written durably and read back. Without it no change is accepted.',
    run: database,
  },
];
