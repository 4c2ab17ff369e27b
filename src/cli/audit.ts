/** `hv audit`: who did what, and whether what is written of it is still what was written. */

import { once } from 'node:events';
import { constants, createWriteStream } from 'node:fs';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import {
  AUDIT_FORMATS,
  AUDIT_OUTCOMES,
  type AuditRecord,
  type AuditStatus,
  type AuditVerification,
} from '#contract/audit.ts';
import { chainId } from '#contract/audit-chain.ts';
import { ApiProblem, pathOf } from '#contract/client.ts';
import { type VerifyOptions, verifyFile, verifyStream } from './audit-verify.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { unreadable } from './files.ts';
import type { Colour, Output } from './output.ts';
import { type Column, printFacts, printTable } from './table.ts';
import { safeText } from './text.ts';
import { timeText } from './time.ts';
import { choiceOption, countOption, one, textOption } from './values.ts';

const OUTCOME_MARKS: Readonly<Record<string, readonly [glyph: string, colour: Colour]>> = {
  done: ['●', 'green'],
  failed: ['■', 'red'],
  cancelled: ['○', 'grey'],
  denied: ['■', 'red'],
  invalid: ['▲', 'yellow'],
  unknown: ['?', 'red'],
};

const outcomeOf = (record: AuditRecord) => (record.phase === 'intent' ? 'asked' : (record.outcome ?? 'unknown'));

const COLUMNS: readonly Column<AuditRecord>[] = [
  { title: 'NO', value: (record) => String(record.seq), align: 'right' },
  { title: 'TIME', value: (record) => timeText(record.at) },
  { title: 'WHO', value: (record) => safeText(record.actor), flexibleTo: 6 },
  {
    title: 'OUTCOME',
    value: (record) =>
      `${OUTCOME_MARKS[outcomeOf(record)]?.[0] ?? '◐'} ${outcomeOf(record)}${record.code === null ? '' : ` (${safeText(record.code)})`}`,
    flexibleTo: 18,
    colour: (text, record, paint) => paint(OUTCOME_MARKS[outcomeOf(record)]?.[1] ?? 'grey', text),
  },
  { title: 'ACTION', value: (record) => safeText(record.action), flexibleTo: 20 },
  {
    title: 'OBJECT',
    value: (record) => safeText(record.objectName ?? record.objectId ?? '–'),
    flexibleTo: 8,
    isOptional: true,
  },
  {
    title: 'VIA',
    value: (record) => safeText(record.via.replace('_socket', ' socket')),
    flexibleTo: 6,
    isOptional: true,
  },
];

/** `2h`, `3d` before now, or a time as the world writes it. */
function timeOf(name: string, text: string): string {
  const match = /^(\d{1,6})\s*(m|min|h|d)$/.exec(text);
  const factor = match?.[2] === 'd' ? 86_400_000 : match?.[2] === 'h' ? 3_600_000 : 60_000;
  const at = match ? Date.now() - Number(match[1]) * factor : Date.parse(text);
  if (Number.isNaN(at))
    throw usageFailure(`--${name} "${text}" is not a time`, 'Write 30min, 2h, 3d, or a time as 2026-11-23T08:00.');
  return new Date(at).toISOString();
}

const FILTERS = {
  actor: textOption('USER', 'only by this user'),
  action: textOption('ACTION', 'only this action, as "POST /vms/{id}/start"'),
  object: textOption('ID', 'only about the object with this id'),
  project: textOption('PROJECT', 'only about objects of this project'),
  outcome: choiceOption(AUDIT_OUTCOMES, 'only with this outcome'),
  since: textOption('TIME', 'only since: 30min, 2h, 3d, or 2026-11-23T08:00'),
  until: textOption('TIME', 'only until, written the same way'),
  text: textOption('TEXT', 'only with this text anywhere in it'),
};

type FilterValues = { readonly [Name in keyof typeof FILTERS]: ReturnType<(typeof FILTERS)[Name]['read']> };

function filterOf({ object, since, until, ...others }: FilterValues) {
  const given = Object.entries({
    ...others,
    objectId: object,
    since: since === undefined ? undefined : timeOf('since', since),
    until: until === undefined ? undefined : timeOf('until', until),
  }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

/** Pages until there are enough: a search over very many records answers in pieces. */
async function collectRecords({ api }: CommandContext, filter: object, limit: number): Promise<AuditRecord[]> {
  const items: AuditRecord[] = [];
  let cursor: string | null = null;
  do {
    const page: { items: AuditRecord[]; next: string | null } = await api('GET /audit', {
      query: { limit: Math.min(1000, limit - items.length), ...filter, ...(cursor === null ? {} : { cursor }) },
    });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== null && items.length < limit);
  return items;
}

/** The export as it comes. @throws ApiProblem when it is refused */
async function openExport({ transport }: CommandContext, query: object) {
  const { status, body } = await transport.open({ method: 'GET', path: pathOf('GET /audit/export', {}, query) });
  if (status === 200) return body;
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  throw new ApiProblem(JSON.parse(Buffer.concat(chunks).toString('utf8')));
}

async function readKey(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const pem = await readFile(path, 'utf8').catch((error: unknown) => Promise.reject(unreadable(path, error)));
  try {
    chainId(pem);
    return pem;
  } catch {
    throw usageFailure(`"${path}" is no public key`, 'Give the PEM that `hv audit status --json` prints as publicKey.');
  }
}

function printVerification(output: Output, found: AuditVerification): ExitCode {
  if (output.isJson) output.json(found);
  else if (found.ok)
    output.line(
      `${output.paint('green', '● whole')}: ${found.records} records${found.records === 0 ? '' : `, ${found.firstSeq} to ${found.lastSeq}`}; ${found.checkpoints} signed checkpoint${found.checkpoints === 1 ? ' agrees' : 's agree'}; head ${found.head}`,
    );
  else {
    for (const { kind, detail } of found.findings)
      output.line(`${output.paint('red', `■ ${kind}`)}: ${safeText(detail)}`);
    output.message(`The first bad record is ${found.findings[0]?.seq}.`);
  }
  return found.ok ? EXIT.done : EXIT.failed;
}

function printStatus(output: Output, status: AuditStatus): void {
  const { verification, checkpoint } = status;
  printFacts(output, [
    ['recording', status.state === 'recording' ? 'yes' : `no: ${safeText(status.reason ?? '')}`],
    ['records', `${status.firstSeq} to ${status.head.seq}`],
    ['head', status.head.hash],
    ['chain', status.chain],
    ['checkpoint', checkpoint === null ? 'none yet' : `record ${checkpoint.seq}, ${timeText(checkpoint.at)}`],
    [
      'checked',
      verification === null
        ? 'not since the start'
        : `${timeText(verification.at)}: ${verification.ok ? 'whole' : `changed at ${verification.findings[0]?.seq}`}`,
    ],
    ...status.mirrors.map(
      ({ name, target, state, behind, error }) =>
        [
          `mirror ${name}`,
          `${safeText(target)}: ${state}, ${behind} behind${error === null ? '' : ` (${safeText(error)})`}`,
        ] as const,
    ),
    [
      'kept',
      `${status.settings.retentionDays} days${status.settings.legalHold ? '; legal hold: nothing is removed' : ''}`,
    ],
  ]);
}

function printSettings(output: Output, { settings, mirrors }: AuditStatus): void {
  const { retentionDays, legalHold, requireMirror, mirrorAlarm, breakGlass, configFile } = settings;
  const targetOf = (wanted: 'file' | 'syslog') => {
    const mirror = mirrors.find(({ name }) => name === wanted);
    return mirror === undefined ? 'none' : safeText(mirror.target);
  };
  printFacts(output, [
    ['retentionDays', String(retentionDays)],
    ['legalHold', legalHold ? 'on: nothing is removed' : 'off'],
    ['mirrorFile', targetOf('file')],
    ['syslog', targetOf('syslog')],
    ['requireMirror', requireMirror ? 'on: no change while a mirror is behind' : 'off'],
    ['mirrorAlarm', `${mirrorAlarm} records behind`],
    ['breakGlass', breakGlass ? 'on' : 'off'],
  ]);
  output.message(`Set below "audit" in ${safeText(configFile)}; read when hyperd starts.`);
}

const keyOption = textOption('FILE', 'public key of the checkpoints, kept from before', { completes: 'file' });

export const commands = defineCommands([
  command({
    path: ['audit', 'list'],
    summary: 'List who did what, newest first',
    details: 'Each change has two records: what was asked for, and what came of it.',
    options: {
      ...FILTERS,
      limit: countOption('N', 'how many at most', { defaultText: '50; with --json 1000' }),
    },
    examples: ['audit list', 'audit list --outcome denied --since 2d', 'audit list --text web1 --json'],
    run: async (context, { options: { limit, ...filters } }) => {
      const { output } = context;
      const items = await collectRecords(context, filterOf(filters), limit ?? (output.isJson ? 1000 : 50));
      if (output.isJson) output.json(items);
      else printTable(output, COLUMNS, items, 'No records fit.');
      return EXIT.done;
    },
  }),
  command({
    path: ['audit', 'show'],
    summary: 'Show one record, and whether it stands as it was written',
    positionals: { record: one('RECORD', 'number or id of the record') },
    examples: ['audit show 4711'],
    run: async ({ api, output }, { args }) => {
      const shown = await api('GET /audit/records/{id}', { params: { id: args.record } });
      const { record, isWhole, checkpointSeq, prev } = shown;
      if (output.isJson) output.json(shown);
      else {
        const params = record.params === null ? [] : [['asked for', safeText(JSON.stringify(record.params))] as const];
        printFacts(output, [
          ['record', `${record.seq} (${record.id})`],
          ['time', timeText(record.at)],
          ['who', safeText([record.actor, record.via, record.address].filter(Boolean).join(', '))],
          ['action', safeText(record.action)],
          ['outcome', `${outcomeOf(record)}${record.code === null ? '' : ` (${safeText(record.code)})`}`],
          [
            'object',
            safeText([record.objectType, record.objectName ?? record.objectId].filter(Boolean).join(' ') || '–'),
          ],
          ['allowed by', safeText(record.grant ?? record.permission ?? '–')],
          ...params,
          ['request', safeText(record.requestId ?? '–')],
          ['operation', safeText(record.operationId ?? '–')],
          ['hash', record.hash],
          ['hash before', prev],
          ['stands', isWhole ? 'as it was written' : 'NOT as it was written'],
          ['checkpoint', checkpointSeq === null ? 'not signed yet' : `signed with record ${checkpointSeq}`],
        ]);
      }
      return isWhole ? EXIT.done : EXIT.failed;
    },
  }),
  command({
    path: ['audit', 'status'],
    summary: 'Show the head of the chain, the mirrors, and when it was checked',
    examples: ['audit status', 'audit status --json'],
    run: async ({ api, output }) => {
      const status = await api('GET /audit/status');
      if (output.isJson) output.json(status);
      else printStatus(output, status);
      const isGood = status.state === 'recording' && status.mirrors.every(({ state }) => state === 'current');
      return isGood ? EXIT.done : EXIT.warnings;
    },
  }),
  command({
    path: ['audit', 'settings'],
    summary: 'Show how long records are kept, where copies go, and the file that says so',
    details:
      'They are changed in that file only, or in the NixOS configuration that makes it, by who is root on the machine: somebody who took over a session must not be able to shorten what is kept of it.',
    examples: ['audit settings', 'audit settings --json'],
    run: async ({ api, output }) => {
      const status = await api('GET /audit/status');
      if (output.isJson) output.json({ ...status.settings, mirrors: status.mirrors });
      else printSettings(output, status);
      return EXIT.done;
    },
  }),
  command({
    path: ['audit', 'export'],
    summary: 'Write all records that fit, oldest first, to stdout or a file',
    details:
      "jsonl without filters is what `hv audit verify` reads offline. Cells of csv that a spreadsheet would run get a ' before them.",
    options: {
      format: choiceOption(AUDIT_FORMATS, 'the format', { defaultText: 'jsonl' }),
      out: textOption('FILE', 'write it there', { completes: 'file' }),
      ...FILTERS,
    },
    examples: [
      'audit export --out audit.jsonl',
      'audit export --format ocsf --since 1d',
      'audit export --format csv --out audit.csv',
    ],
    run: async (context, { options: { format, out, ...filters } }) => {
      const response = await openExport(context, { ...(format === undefined ? {} : { format }), ...filterOf(filters) });
      if (out !== undefined) {
        await pipeline(response, createWriteStream(out, { mode: 0o600 }));
        context.output.message(`Written to ${safeText(out)}.`);
        return EXIT.done;
      }
      for await (const chunk of response) {
        if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
      }
      return EXIT.done;
    },
  }),
  command({
    path: ['audit', 'verify'],
    summary: 'Check that no record was changed, removed, moved or doubled; exit 1 names the first that was',
    details:
      'Without --file the records of hyperd are read and checked here. A cut end, or a chain that was written anew as a whole, is found by signed checkpoints and by a mirror that lies elsewhere.',
    options: {
      file: textOption('FILE', 'check this export, mirror or copy of state.db instead; hyperd is not needed', {
        completes: 'file',
      }),
      mirror: textOption('FILE', 'compare with this mirror or older export', { completes: 'file' }),
      key: keyOption,
    },
    examples: [
      'audit verify',
      'audit verify --file audit.jsonl --mirror /mnt/other/audit.jsonl',
      'audit verify --file /root/copy/state.db --json',
    ],
    run: async (context, { options: { file, mirror, key } }) => {
      // Before anything is asked of the daemon: a chain that nobody reads would keep the connection open.
      if (mirror !== undefined)
        await access(mirror, constants.R_OK).catch((error: unknown) => Promise.reject(unreadable(mirror, error)));
      const options: VerifyOptions = { mirror, key: await readKey(key) };
      const found =
        file === undefined
          ? await verifyStream(await openExport(context, {}), options)
          : await verifyFile(file, options);
      return printVerification(context.output, found);
    },
  }),
  command({
    path: ['audit', 'evidence'],
    summary: 'Write a signed report: which setting helps with which control, and what shows it',
    details: 'The numbers of the standards are to be checked against their text. The report certifies nothing.',
    options: { out: textOption('DIR', 'folder for the report; it must be empty or new', { completes: 'file' }) },
    examples: ['audit evidence --out evidence-2026-11'],
    run: async ({ api, output }, { options: { out } }) => {
      if (out === undefined) throw usageFailure('--out is missing', 'Name a folder for the report.');
      const { document, signature, publicKey, summary } = await api('GET /audit/evidence');
      await mkdir(out, { recursive: true });
      const files: readonly (readonly [string, string | Buffer])[] = [
        ['evidence.json', document],
        ['evidence.sig', Buffer.from(signature, 'base64')],
        ['key.pem', publicKey],
        ['evidence.md', summary],
      ];
      for (const [name, content] of files) {
        try {
          await writeFile(join(out, name), content, { flag: 'wx' });
        } catch (error) {
          throw new Failure(
            `"${join(out, name)}" could not be written: ${error instanceof Error ? error.message : String(error)}`,
            {
              exit: EXIT.failed,
              hint: 'Give a folder that is new or empty.',
            },
          );
        }
      }
      if (output.isJson) output.json({ dir: out, files: files.map(([name]) => name) });
      else output.message(`Written to ${safeText(out)}: ${files.map(([name]) => name).join(', ')}.`);
      return EXIT.done;
    },
  }),
]);
