/** The report of a week: how each VM stands, what the runs did. Once gathered, it is told as JSON, as a page, or as a PDF. */

import type { BackupRound, OrphanedPoints, Posture, VmPosture } from '#contract/protection.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { cutPt, PDF_LEFT_PT, PDF_RIGHT_PT, type PdfLine, type PdfText, wrapPt, writePdf } from './pdf.ts';

export interface WeekReport {
  readonly host: string;
  /** ISO 8601, UTC. */
  readonly from: string;
  readonly to: string;
  readonly worst: Posture;
  /** The worst first. */
  readonly vms: readonly VmPosture[];
  /** The newest first; of the week. */
  readonly runs: readonly BackupRound[];
  readonly orphans: readonly OrphanedPoints[];
}

const WORDS: Readonly<Record<Posture, string>> = {
  protected: 'Protected',
  attention: 'Attention',
  unknown: 'Unknown',
  unprotected: 'Unprotected',
};
const ORDER: readonly Posture[] = ['unprotected', 'unknown', 'attention', 'protected'];

const day = (iso: string): string => iso.slice(0, 10);
const moment = (iso: string): string => `${iso.slice(0, 16).replace('T', ' ')} UTC`;
const ageOf = (iso: string | null, to: string): string =>
  iso === null ? 'never' : `${formatDuration(Math.max(0, Date.parse(to) - Date.parse(iso)))} ago`;

/** In one sentence, as a title. */
export function headline({ vms, worst }: WeekReport): string {
  if (vms.length === 0) return 'There is no VM to protect.';
  if (worst === 'protected') return `All ${vms.length} VMs are protected.`;
  const parts = ORDER.filter((posture) => posture !== 'protected').flatMap((posture) => {
    const count = vms.filter((vm) => vm.posture === posture).length;
    return count === 0 ? [] : [`${count} ${WORDS[posture].toLowerCase()}`];
  });
  return `Of ${vms.length} VMs: ${parts.join(', ')}.`;
}

const runText = ({ counts, note }: BackupRound): string =>
  `${counts.done} of ${counts.all} backed up${note === null ? '' : `: ${note}`}`;

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0)};`);

const STYLE = `body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a2129;background:#fff}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.2rem 0;color:#5a6672}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem .4rem 0;border-bottom:1px solid #dfe3e8}
th{font-weight:550;color:#5a6672}code{font:12px ui-monospace,monospace}.protected{color:#18794e}.attention{color:#8f5b00}.unprotected{color:#c2272d}.unknown{color:#66727f}
@media(prefers-color-scheme:dark){body{color:#e6eaef;background:#0f1216}p,th{color:#9aa6b2}th,td{border-color:#29313a}.protected{color:#4cc38a}.attention{color:#e6b450}.unprotected{color:#f2686b}.unknown{color:#8b97a5}}`;

export function reportHtml(report: WeekReport): string {
  const row = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  const table = (titles: readonly string[], rows: readonly string[]) =>
    `<table><thead><tr>${titles.map((title) => `<th scope="col">${title}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
  const vms = report.vms.map((vm) =>
    row([
      escaped(vm.vmName),
      `<b class="${vm.posture}">${WORDS[vm.posture]}</b>`,
      ageOf(vm.newestAt, report.to),
      ageOf(vm.provenAt, report.to),
      vm.bootSeconds === null ? '' : formatDuration(vm.bootSeconds * 1000),
      `${escaped(vm.reasons[0]?.text ?? '')}${vm.next === null ? '' : `<br><code>${escaped(vm.next.command)}</code>`}`,
    ]),
  );
  const runs = report.runs.map((run) =>
    row([moment(run.beganAt), escaped(run.scheduleName), run.state, escaped(runText(run))]),
  );
  const orphans = report.orphans.map((orphan) =>
    row([
      escaped(orphan.vmName),
      String(orphan.points),
      ageOf(orphan.newestAt, report.to),
      formatBytes(orphan.storedBytes),
    ]),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Backups of ${escaped(report.host)}</title><style>${STYLE}</style></head><body>
<h1>${escaped(headline(report))}</h1><p>${escaped(report.host)}, ${day(report.from)} to ${day(report.to)}</p>
<h2>VMs</h2>${vms.length === 0 ? '<p>None.</p>' : table(['VM', 'Posture', 'Newest point', 'Proven', 'Starts in', 'Why, and what to do'], vms)}
<h2>Runs of schedules</h2>${runs.length === 0 ? '<p>None in this week.</p>' : table(['Began', 'Schedule', 'State', 'What it did'], runs)}
${orphans.length === 0 ? '' : `<h2>Restore points of VMs that are gone</h2>${table(['VM', 'Points', 'Newest', 'Stored'], orphans)}`}
</body></html>
`;
}

const INK = [0.1, 0.13, 0.16] as const;
const MUTED = [0.35, 0.4, 0.45] as const;
const COLOURS: Readonly<Record<Posture, PdfText['colour']>> = {
  protected: [0.09, 0.47, 0.31],
  attention: [0.56, 0.36, 0],
  unknown: [0.4, 0.45, 0.5],
  unprotected: [0.76, 0.15, 0.18],
};

export function reportPdf(report: WeekReport): Buffer {
  const lines: PdfLine[] = [];
  const text = (x: number, value: string, parts: Partial<PdfText> = {}): PdfText => ({
    x,
    text: value,
    font: 'regular',
    sizePt: 9,
    colour: INK,
    ...parts,
  });
  const put = (heightPt: number, ...texts: readonly PdfText[]) => void lines.push({ kind: 'texts', heightPt, texts });
  const paragraph = (x: number, value: string, colour: PdfText['colour']) => {
    for (const line of wrapPt(value, 9, PDF_RIGHT_PT - x)) put(12, text(x, line, { colour }));
  };
  const section = (title: string) => {
    put(26, text(PDF_LEFT_PT, title, { font: 'bold', sizePt: 12 }));
    lines.push({ kind: 'rule' });
  };

  put(18, text(PDF_LEFT_PT, headline(report), { font: 'bold', sizePt: 17 }));
  put(16, text(PDF_LEFT_PT, `${report.host}, ${day(report.from)} to ${day(report.to)}`, { colour: MUTED }));
  section('VMs');
  for (const vm of report.vms) {
    put(
      14,
      text(PDF_LEFT_PT, cutPt(vm.vmName, 9, 150), { font: 'bold' }),
      text(210, WORDS[vm.posture], { colour: COLOURS[vm.posture], font: 'bold' }),
      text(290, `newest ${ageOf(vm.newestAt, report.to)}`),
      text(
        410,
        vm.provenAt === null
          ? 'never proven'
          : `proven ${ageOf(vm.provenAt, report.to)}${vm.bootSeconds === null ? '' : `, ${formatDuration(vm.bootSeconds * 1000)}`}`,
      ),
    );
    if (vm.reasons[0]) paragraph(PDF_LEFT_PT + 12, vm.reasons[0].text, MUTED);
    if (vm.next) paragraph(PDF_LEFT_PT + 12, `${vm.next.text}: ${vm.next.command}`, MUTED);
    lines.push({ kind: 'rule' });
  }
  section('Runs of schedules');
  if (report.runs.length === 0) paragraph(PDF_LEFT_PT, 'None in this week.', MUTED);
  for (const run of report.runs) {
    put(
      14,
      text(PDF_LEFT_PT, moment(run.beganAt)),
      text(170, cutPt(run.scheduleName, 9, 110), { font: 'bold' }),
      text(290, run.state),
    );
    paragraph(PDF_LEFT_PT + 12, runText(run), MUTED);
  }
  if (report.orphans.length > 0) section('Restore points of VMs that are gone');
  for (const orphan of report.orphans)
    put(
      14,
      text(PDF_LEFT_PT, cutPt(orphan.vmName, 9, 150), { font: 'bold' }),
      text(
        210,
        `${orphan.points} points, newest ${ageOf(orphan.newestAt, report.to)}, ${formatBytes(orphan.storedBytes)}`,
      ),
    );
  return writePdf(`Backups of ${report.host}`, lines, `Hyper-NixOS, ${report.host}`);
}
