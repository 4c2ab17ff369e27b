/** `hv quota`: what projects may use at once, and what they do. */

import { QUOTA_FACTS, QUOTA_RESOURCES, type QuotaResource } from '#contract/quota-facts.ts';
import type { Quota, QuotaLimits } from '#contract/quotas.ts';
import { formatBytes, parseBytes } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about } from './objects.ts';
import type { Output } from './output.ts';
import { type Column, printTable } from './table.ts';
import { one, textOption } from './values.ts';

const UNLIMITED = 'unlimited';

const amountText = (quota: Quota, amount: number) => (quota.unit === 'bytes' ? formatBytes(amount) : String(amount));

/** Part of the limit that is used; nothing where there is no limit. */
function shareText({ limit, used }: Quota): string {
  if (limit === null) return '';
  return limit === 0 ? (used > 0 ? 'over' : '') : `${Math.round((used / limit) * 100)} %`;
}

const isOver = ({ limit, used }: Quota) => limit !== null && used > limit;

const COLUMNS: readonly Column<Quota>[] = [
  { title: 'RESOURCE', value: (quota) => quota.resource },
  { title: 'USED', value: (quota) => amountText(quota, quota.used), align: 'right' },
  {
    title: 'LIMIT',
    value: (quota) => (quota.limit === null ? UNLIMITED : amountText(quota, quota.limit)),
    align: 'right',
  },
  {
    title: 'SHARE',
    value: shareText,
    align: 'right',
    colour: (text, quota, paint) => (isOver(quota) ? paint('red', text) : text),
  },
  { title: 'COUNTS', value: (quota) => QUOTA_FACTS[quota.resource].meaning, isOptional: true },
];

export function printQuotas(output: Output, quotas: readonly Quota[]): void {
  printTable(output, COLUMNS, quotas, '');
}

function print(output: Output, quotas: readonly Quota[], whole: unknown): void {
  if (output.isJson) output.json(whole);
  else printQuotas(output, quotas);
}

function limitOf(resource: QuotaResource, text: string): number | null {
  if (text === UNLIMITED) return null;
  const isBytes = QUOTA_FACTS[resource].unit === 'bytes';
  // Sizes without a unit would be bytes, which nobody means who writes --disk 500.
  const limit = isBytes
    ? /^[1-9]\d*$/.test(text)
      ? null
      : parseBytes(text)
    : /^\d{1,9}$/.test(text)
      ? Number(text)
      : null;
  if (limit !== null) return limit;
  throw usageFailure(
    `--${resource} ${JSON.stringify(text)} is not a limit`,
    isBytes
      ? `Write a number with a unit, as 512GiB, or "${UNLIMITED}".`
      : `Write a whole number, as 8, or "${UNLIMITED}".`,
  );
}

const limitOption = (resource: QuotaResource) =>
  textOption(
    QUOTA_FACTS[resource].unit === 'bytes' ? 'SIZE' : 'N',
    `${QUOTA_FACTS[resource].meaning}; "${UNLIMITED}" = no limit`,
  );

export const LIMIT_OPTIONS = {
  vms: limitOption('vms'),
  vcpus: limitOption('vcpus'),
  memory: limitOption('memory'),
  disk: limitOption('disk'),
  snapshots: limitOption('snapshots'),
  backups: limitOption('backups'),
  images: limitOption('images'),
  networks: limitOption('networks'),
} as const;

/** @throws Failure for what is no limit */
export function limitsOf(options: Readonly<Partial<Record<QuotaResource, string | undefined>>>): QuotaLimits {
  const limits: QuotaLimits = {};
  for (const resource of QUOTA_RESOURCES) {
    const text = options[resource];
    if (text !== undefined) limits[resource] = limitOf(resource, text);
  }
  return limits;
}

const project = () => one('PROJECT', 'name or id of the project', { completes: 'project' });

export const commands = defineCommands([
  command({
    path: ['quota', 'show'],
    summary: 'Show the limits of a project and what is used',
    details: 'What open operations have reserved counts as used.',
    positionals: { project: project() },
    examples: ['quota show shop'],
    run: async (context, { args }) => {
      const answer = await about(context, 'project', args.project, (id) =>
        context.api('GET /projects/{id}/quotas', { params: { id } }),
      );
      print(context.output, answer.quotas, answer);
      return EXIT.done;
    },
  }),
  command({
    path: ['quota', 'set'],
    summary: 'Change limits of a project',
    details:
      'Limits that are not named stay as they are. One below what is used takes nothing away: it refuses what would grow.',
    positionals: { project: project() },
    options: LIMIT_OPTIONS,
    examples: ['quota set shop --vms 10 --vcpus 32 --memory 64GiB --disk 2TiB', 'quota set shop --images unlimited'],
    run: async (context, { args, options }) => {
      const limits = limitsOf(options);
      if (Object.keys(limits).length === 0)
        throw usageFailure('no limit was given', `Name at least one of --${QUOTA_RESOURCES.join(', --')}.`);
      const answer = await about(context, 'project', args.project, (id) =>
        context.api('PATCH /projects/{id}/quotas', { params: { id }, body: { limits } }),
      );
      print(context.output, answer.quotas, answer);
      return EXIT.done;
    },
  }),
]);
