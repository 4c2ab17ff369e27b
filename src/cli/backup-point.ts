/** The restore point that a command means. */

import type { RestorePoint } from '#contract/backups.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { about, collect } from './objects.ts';
import { one } from './values.ts';

export const pointId = () =>
  one('POINT', 'id of the restore point, or a VM for its newest good one', { completes: 'restore-point' });

/** The restore point that is meant. */
export async function pointOf(context: CommandContext, text: string): Promise<RestorePoint> {
  const { api } = context;
  if (text.startsWith('rp-'))
    return about(context, 'restore-point', text, (id) => api('GET /restore-points/{id}', { params: { id } }));
  const points = await collect((query) => api('GET /restore-points', { query: { ...query, vm: text } }));
  const newest = points.find(({ state }) => state === 'good');
  if (newest === undefined)
    throw new Failure(`there is no good restore point of a VM "${text}"`, {
      exit: EXIT.notFound,
      code: 'not_found',
      hint: '`hv backup list` lists all restore points.',
    });
  return newest;
}
