/** The evidence report: which settings help with which control, and what shows it. It never says that anything is met: that is for an auditor
 *  to say, and the numbers of the standards are to be checked against their text. */

import type { AuditStatus } from '#contract/audit.ts';
import type { AuditKeys } from './keys.ts';

interface Setting {
  readonly name: string;
  readonly value: unknown;
}

interface Proof {
  /** A command that shows it, a test of the program's own suite, or a signed checkpoint. */
  readonly kind: 'query' | 'test' | 'checkpoint';
  readonly value: string;
}

interface Control {
  readonly topic: string;
  readonly references: Readonly<Record<'NIST SP 800-53' | 'ISO/IEC 27001:2022' | 'SOC 2' | 'CIS v8', string>>;
  readonly settings: readonly Setting[];
  readonly proofs: readonly Proof[];
}

/** What is asked of the configuration; the rest is no business of an auditor. */
export interface EvidenceSettings {
  readonly listen: string;
  readonly trashDays: number;
  readonly operatorSeesScreens: boolean;
  readonly syslogTarget: string | null;
  readonly mirrorFile: string | null;
}

const refs = (nist: string, iso: string, soc: string, cis: string): Control['references'] => ({
  'NIST SP 800-53': nist,
  'ISO/IEC 27001:2022': iso,
  'SOC 2': soc,
  'CIS v8': cis,
});
const query = (value: string): Proof => ({ kind: 'query', value });
const proofBy = (value: string): Proof => ({ kind: 'test', value });

function controlsOf(status: AuditStatus, settings: EvidenceSettings): Control[] {
  const { checkpoint, verification } = status;
  const signed: Proof[] =
    checkpoint === null
      ? []
      : [{ kind: 'checkpoint', value: `record ${checkpoint.seq}, ${checkpoint.hash}, signed ${checkpoint.at}` }];
  return [
    {
      topic: 'Who did what, and when',
      references: refs('AU-2, AU-3, AU-12', 'A.8.15', 'CC7.2', '8.2, 8.5'),
      settings: [
        {
          name: 'intent and outcome of every change, and refusals, are recorded',
          value: 'always; cannot be switched off',
        },
        { name: 'records', value: status.head.seq - status.firstSeq + 1 },
      ],
      proofs: [query('hv audit list'), proofBy('test/fault/audit-kill.test.ts'), ...signed],
    },
    {
      topic: 'Time source',
      references: refs('AU-8', 'A.8.17', '', '8.4'),
      settings: [{ name: 'records carry the date and a clock that never jumps', value: 'always' }],
      proofs: [query('hv audit show SEQ'), query('timedatectl timesync-status')],
    },
    {
      topic: 'Protection of records',
      references: refs('AU-9, AU-10', 'A.8.15', '', ''),
      settings: [
        { name: 'hash chain with signed checkpoints', value: 'always; cannot be switched off' },
        { name: 'fingerprint of the key', value: status.chain },
        { name: 'audit.mirrorFile', value: settings.mirrorFile },
        { name: 'audit.syslog', value: settings.syslogTarget },
        {
          name: 'last check of the whole chain',
          value:
            verification === null
              ? 'none since the start'
              : `${verification.at}: ${verification.ok ? 'whole' : 'changed'}`,
        },
      ],
      proofs: [query('hv audit verify --json'), proofBy('test/hostile/audit.test.ts H2'), ...signed],
    },
    {
      topic: 'Failure of recording',
      references: refs('AU-5', 'A.8.15', '', ''),
      settings: [
        { name: 'no record, no change', value: 'always' },
        { name: 'audit.requireMirror', value: status.settings.requireMirror },
        { name: 'audit.breakGlass', value: status.settings.breakGlass },
        { name: 'recording now', value: status.state },
      ],
      proofs: [query('hv audit status'), proofBy('test/hostile/audit.test.ts H3')],
    },
    {
      topic: 'Review and retention',
      references: refs('AU-6, AU-11', '', 'CC7.3', '8.10'),
      settings: [
        { name: 'audit.retentionDays', value: status.settings.retentionDays },
        { name: 'audit.legalHold', value: status.settings.legalHold },
        { name: 'first record kept', value: status.firstSeq },
      ],
      proofs: [query('hv audit list --outcome denied'), query('hv audit export --format ocsf')],
    },
    {
      topic: 'Access and least privilege',
      references: refs('AC-2, AC-3, AC-6', 'A.5.15, A.5.18, A.8.2', 'CC6.1 to CC6.3', '5, 6'),
      settings: [
        { name: 'a permission on every operation of the API; what is not granted is refused', value: 'always' },
        { name: 'console.operatorSeesScreens', value: settings.operatorSeesScreens },
      ],
      proofs: [query('hv audit list --outcome denied')],
    },
    {
      topic: 'Sign-in and sessions',
      references: refs('IA-2, AC-11, AC-12', 'A.8.5', 'CC6.1', '6.3 to 6.5'),
      settings: [{ name: 'sessions end by idle time and by age; secrets are kept as hashes', value: 'always' }],
      proofs: [query('hv session list'), proofBy('test/hostile/sign-in.test.ts')],
    },
    {
      topic: 'Change and configuration',
      references: refs('CM-3, CM-5, CM-6', 'A.8.9', 'CC8.1', '4'),
      settings: [{ name: 'every change is an operation that is done or undone', value: 'always' }],
      proofs: [query('hv op list'), proofBy('test/fault/vms-kill.test.ts')],
    },
    {
      topic: 'Deletion can be taken back; transport is encrypted',
      references: refs('CP-9, CP-10, SC-8, SC-13', 'A.8.13, A.8.24', 'CC7.1', '11'),
      settings: [
        { name: 'trash.days', value: settings.trashDays },
        { name: 'listen (TLS 1.3 only)', value: settings.listen },
      ],
      proofs: [query('hv trash list'), query('hv status')],
    },
  ];
}

const NOTE =
  'This report says which settings of Hyper-NixOS help with which control, and how each can be seen. It certifies nothing. The numbers of the standards are to be checked against their current text before they are relied on.';

const shown = (value: unknown): string => (value === null || value === undefined ? 'not set' : String(value));
const cell = (text: string): string => text.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ');

export function evidenceOf(
  status: AuditStatus,
  settings: EvidenceSettings,
  { at, host, version, keys }: { at: Date; host: string; version: string; keys: AuditKeys },
): { document: string; signature: string; publicKey: string; summary: string } {
  const controls = controlsOf(status, settings);
  const { head, chain, checkpoint } = status;
  const facts = { v: 1, note: NOTE, at: at.toISOString(), host, version, chain, head, checkpoint, controls };
  const { body, signature } = keys.sign(`${JSON.stringify(facts, null, 2)}\n`);
  const lines = controls.map(({ topic, references, settings: set, proofs }) =>
    [
      topic,
      Object.entries(references)
        .filter(([, numbers]) => numbers !== '')
        .map(([standard, numbers]) => `${standard}: ${numbers}`)
        .join('<br>'),
      set.map(({ name, value }) => `${name}: ${shown(value)}`).join('<br>'),
      proofs.map(({ kind, value }) => `${kind}: \`${value}\``).join('<br>'),
    ]
      .map(cell)
      .join(' | '),
  );
  const summary = `# Evidence of ${host}

${NOTE}

Made ${at.toISOString()} by Hyper-NixOS ${version}. Chain \`${chain}\`, head: record ${head.seq}, \`${head.hash}\`.
Check the signature: \`openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in evidence.json -sigfile evidence.sig\`.

| helps with | numbers, **to be checked** | setting now | shown by |
|---|---|---|---|
${lines.map((line) => `| ${line} |`).join('\n')}
`;
  return { document: body, signature, publicKey: keys.publicKey, summary };
}
