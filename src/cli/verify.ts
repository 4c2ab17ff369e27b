/** `hv verify`: proves that restore points restore, and shows what was found. */

import { writeFile } from 'node:fs/promises';
import {
  PROOF_LEVELS,
  PROOF_VERDICTS,
  type Proof,
  type ProofSettings,
  type ProofSummary,
  proofLevelSchema,
} from '#contract/verification.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { unreadable } from './files.ts';
import { follow, resultOf } from './follow.ts';
import { about } from './objects.ts';
import type { Colour, Output } from './output.ts';
import { problemFrom } from './problems.ts';
import { type Column, printFacts, printTable } from './table.ts';
import { plainLog, safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { choiceOption, countOption, one, textOption } from './values.ts';
import { probeOf, probeText } from './verify-probe.ts';

const COLOURS: Readonly<Record<ProofSummary['verdict'], Colour>> = {
  pass: 'green',
  fail: 'red',
  inconclusive: 'yellow',
};
const EXITS = { pass: EXIT.done, fail: EXIT.failed, inconclusive: EXIT.warnings } as const;

const levelText = (level: ProofSummary['level']) => (level === null ? 'none' : String(level));
const secondsText = (seconds: number | null) => (seconds === null ? '' : formatDuration(seconds * 1000));

const COLUMNS: readonly Column<ProofSummary>[] = [
  { title: 'WHEN', value: ({ finishedAt }) => ageText(finishedAt) },
  {
    title: 'VM',
    value: ({ vmName }) => safeText(vmName),
    flexibleTo: 8,
    colour: (text, _row, paint) => paint('bold', text),
  },
  {
    title: 'VERDICT',
    value: ({ verdict }) => verdict,
    colour: (text, { verdict }, paint) => paint(COLOURS[verdict], text),
  },
  { title: 'LEVEL', value: ({ level }) => levelText(level), align: 'right' },
  { title: 'WHY', value: ({ text }) => safeText(text), flexibleTo: 20 },
  {
    title: 'RECOVERED IN',
    value: ({ recoverySeconds }) => secondsText(recoverySeconds),
    align: 'right',
    isOptional: true,
  },
  { title: 'ID', value: ({ id }) => id },
];

const levelOption = countOption('N', 'level that has to be reached, 0 to 5');

function levelOf(given: number | undefined): NonNullable<ProofSettings['level']> | undefined {
  if (given === undefined) return undefined;
  const level = proofLevelSchema.safeParse(given);
  if (level.success) return level.data;
  throw usageFailure(
    `there is no level ${given}`,
    `The levels: ${PROOF_LEVELS.map((text, n) => `${n} ${text}`).join('; ')}.`,
  );
}

function printProof(output: Output, proof: Proof): void {
  if (output.isJson) {
    output.json(proof);
    return;
  }
  const { evidence } = proof;
  const { guest, host, data } = evidence;
  const reached = proof.level === null ? 'none' : `${proof.level}: ${PROOF_LEVELS[proof.level]}`;
  printFacts(output, [
    ['id', output.paint('bold', proof.id)],
    ['VM', safeText(proof.vmName)],
    ['verdict', output.paint(COLOURS[proof.verdict], `${proof.verdict} (${proof.reason})`)],
    ['why', safeText(proof.text)],
    ['next', proof.verdict === 'pass' ? null : safeText(proof.hint)],
    ['level reached', reached],
    [
      'asked for',
      proof.requiredLevel === null
        ? 'any sign of life'
        : `${proof.requiredLevel}: ${PROOF_LEVELS[proof.requiredLevel]}`,
    ],
    [
      'restore point',
      proof.pointId === null ? null : `${safeText(proof.pointId)} in ${safeText(proof.repository ?? '')}`,
    ],
    ['of the moment', proof.pointTime === null ? null : timeText(proof.pointTime)],
    ['proven', timeText(proof.finishedAt)],
    ['recovered in', proof.recoverySeconds === null ? null : secondsText(proof.recoverySeconds)],
    [
      'data',
      data.problem ??
        (data.checkedAt === null
          ? null
          : `${formatBytes(data.checkedBytes)} read now, the oldest ${ageText(data.checkedAt)}`),
    ],
    ...evidence.disks.map(
      (disk) =>
        [`disk ${safeText(disk.target)}`, `${formatBytes(disk.sizeBytes)}, ${safeText(disk.structure)}`] as const,
    ),
    ...evidence.filesystems.map(
      ({ volume, kind, state, text }) =>
        [
          `files on ${safeText(volume)}`,
          `${safeText(kind)}, ${state}${state === 'clean' ? '' : `: ${safeText(text)}`}`,
        ] as const,
    ),
    ...evidence.attempts.map(
      ({ end, detail, seconds, readBytes, timings }, n) =>
        [
          `start ${n + 1}`,
          [
            `${end.replaceAll('_', ' ')} after ${secondsText(seconds)}`,
            detail === null ? null : safeText(detail),
            timings.kernelSeconds === null ? null : `kernel at ${secondsText(timings.kernelSeconds)}`,
            timings.agentSeconds === null ? null : `agent at ${secondsText(timings.agentSeconds)}`,
            `${formatBytes(readBytes)} read`,
          ]
            .filter((part) => part !== null)
            .join(', '),
        ] as const,
    ),
    [
      'guest',
      [guest.hostname, guest.os]
        .filter((part) => part !== null)
        .map((part) => safeText(part ?? ''))
        .join(', ') || null,
    ],
    ['answer', guest.probe === null ? null : safeText(guest.probe)],
    [
      'network',
      host.network === 'isolated'
        ? 'isolated'
        : `none${host.networkNote === null ? '' : `: ${safeText(host.networkNote)}`}`,
    ],
    ['host', `${host.accel}, QEMU ${safeText(host.qemu ?? 'unknown')}, load ${host.load}`],
    ...evidence.notes.map((note) => ['note', safeText(note)] as const),
    ...evidence.files.map(({ name, sizeBytes }) => ['file', `${name}, ${formatBytes(sizeBytes)}`] as const),
  ]);
}

async function run(
  context: CommandContext,
  name: string,
  body: { point?: string; level?: NonNullable<ProofSettings['level']> },
): Promise<ExitCode> {
  const { api, output } = context;
  const begun = await about(context, 'vm', name, (id) => api('POST /vms/{id}/proofs', { params: { id }, body }));
  if (context.isDetached) {
    if (output.isJson) output.json(begun);
    else output.message(`begun: hv op follow ${begun.id}`);
    return EXIT.done;
  }
  const finished = await follow(context, begun);
  const result = resultOf(finished);
  const proofId = typeof result === 'object' && result !== null && 'proofId' in result ? String(result.proofId) : null;
  if (finished.state !== 'done' || proofId === null)
    throw new Failure(`it was not proven: ${finished.error?.detail ?? finished.state}`, {
      exit: EXIT.failed,
      code: finished.error?.code ?? 'failed',
      hint: `hv op show ${finished.id}`,
    });
  const proof = await api('GET /proofs/{id}', { params: { id: proofId } });
  printProof(output, proof);
  return EXITS[proof.verdict];
}

export const commands = defineCommands([
  command({
    path: ['verify', 'run'],
    summary: 'Prove that a restore point restores',
    details:
      'Reads it, starts it as a test VM in a network that leads nowhere, and asks it. Exit code 0 when it passed, 1 when it failed, 7 when it is not known.',
    positionals: { vm: one('NAME', 'the VM', { completes: 'vm' }) },
    options: {
      point: textOption('POINT', 'a restore point; the newest unless said', { completes: 'restore-point' }),
      level: levelOption,
    },
    isLong: true,
    examples: ['verify run web1', 'verify run web1 --level 1'],
    run: (context, { args, options }) => {
      const level = levelOf(options.level);
      return run(context, args.vm, {
        ...(options.point === undefined ? {} : { point: options.point }),
        ...(level === undefined ? {} : { level }),
      });
    },
  }),
  command({
    path: ['verify', 'list'],
    summary: 'Show proofs, newest first',
    options: {
      vm: textOption('NAME', 'only of this VM', { completes: 'vm' }),
      verdict: choiceOption(PROOF_VERDICTS, 'only with this verdict'),
      limit: countOption('N', 'how many, 100 unless said'),
    },
    examples: ['verify list', 'verify list --vm web1', 'verify list --verdict fail'],
    run: async ({ api, output }, { options }) => {
      const { vm, verdict, limit } = options;
      const { items } = await api('GET /proofs', {
        query: {
          ...(vm === undefined ? {} : { vm }),
          ...(verdict === undefined ? {} : { verdict }),
          ...(limit === undefined ? {} : { limit }),
        },
      });
      if (output.isJson) output.json(items);
      else printTable(output, COLUMNS, items, 'Nothing was proven yet.');
      return EXIT.done;
    },
  }),
  command({
    path: ['verify', 'show'],
    summary: 'Show a proof with its evidence',
    details: 'With --file one file of the evidence: the serial log on the terminal, pictures into a file.',
    positionals: { id: one('ID', 'the proof') },
    options: {
      file: textOption('NAME', 'a file of the evidence'),
      out: textOption('PATH', 'write it there', { completes: 'file' }),
    },
    examples: ['verify show proof-0m2zk8', 'verify show proof-0m2zk8 --file serial-1.log'],
    run: async (context, { args, options }) => {
      const { api, output, transport } = context;
      const { id } = args;
      if (options.file === undefined) {
        printProof(output, await api('GET /proofs/{id}', { params: { id } }));
        return EXIT.done;
      }
      const path = `/api/v1/proofs/${encodeURIComponent(id)}/file?name=${encodeURIComponent(options.file)}`;
      const { status, body } = await transport.send({ method: 'GET', path });
      if (status >= 400) throw problemFrom(body.toString('utf8'), status);
      const { out } = options;
      if (out !== undefined)
        await writeFile(out, body).catch((error: unknown) => {
          throw unreadable(out, error);
        });
      else if (process.stdout.isTTY && options.file.endsWith('.png'))
        throw usageFailure('a picture cannot be shown on a terminal', 'Give --out FILE, or redirect stdout.');
      else if (process.stdout.isTTY) output.line(plainLog(body.toString('utf8')).trimEnd());
      else output.bytes(body);
      return EXIT.done;
    },
  }),
  command({
    path: ['verify', 'set'],
    summary: 'Say how restore points of a VM are proven',
    details:
      'Without options it shows how. The probe: tcp:PORT, http:PORT/PATH, or a program in the guest as its full path with arguments. "none" takes marker and probe away, --level default the level.',
    positionals: { vm: one('NAME', 'the VM', { completes: 'vm' }) },
    options: {
      level: textOption('N|default', 'level that has to be reached'),
      marker: textOption('TEXT', 'what the guest prints on its serial port once it has started'),
      probe: textOption('PROBE', 'what it is asked'),
      expect: textOption('TEXT', 'has to be in the answer to http'),
      network: choiceOption(['on', 'off'], 'whether the test VM gets a network card'),
    },
    examples: [
      'verify set web1',
      'verify set web1 --marker "web1 is up"',
      'verify set web1 --probe http:80/ --level 5',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const { level, marker, probe, expect, network } = options;
      const isAsked = [level, marker, probe, network].every((value) => value === undefined);
      const settings = await about(context, 'vm', args.vm, (id) =>
        isAsked
          ? api('GET /vms/{id}/proof-settings', { params: { id } })
          : api('PATCH /vms/{id}/proof-settings', {
              params: { id },
              body: {
                ...(level === undefined
                  ? {}
                  : { level: level === 'default' ? null : (levelOf(Number(level)) ?? null) }),
                ...(marker === undefined ? {} : { marker: marker === 'none' ? null : marker }),
                ...(probe === undefined ? {} : { probe: probe === 'none' ? null : probeOf(probe, expect) }),
                ...(network === undefined ? {} : { hasNetwork: network === 'on' }),
              },
            }),
      );
      if (output.isJson) output.json(settings);
      else
        printFacts(output, [
          [
            'level',
            settings.level === null
              ? 'what the backup shows that the VM gives'
              : `${settings.level}: ${PROOF_LEVELS[settings.level]}`,
          ],
          ['marker', settings.marker === null ? 'a login prompt' : safeText(settings.marker)],
          ['probe', settings.probe === null ? 'none' : safeText(probeText(settings.probe))],
          ['network', settings.hasNetwork ? 'isolated' : 'none'],
        ]);
      return EXIT.done;
    },
  }),
]);
