import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VmPosture } from '#contract/protection.ts';
import { textWidthPt, wrapPt, writePdf } from './pdf.ts';
import { headline, reportHtml, reportPdf, type WeekReport } from './report.ts';

const vm = (vmName: string, parts: Partial<VmPosture> = {}): VmPosture => ({
  vmId: '00000000-0000-4000-8000-000000000001',
  vmName,
  project: 'default',
  posture: 'protected',
  reasons: [],
  next: null,
  schedules: ['nightly'],
  nextRunAt: null,
  newestPointId: 'rp-1',
  newestAt: '2026-06-14T02:00:00.000Z',
  points: 3,
  storedBytes: 1024,
  lastRun: null,
  proof: null,
  isCopied: false,
  copiedAt: null,
  provenAt: '2026-06-13T02:00:00.000Z',
  bootSeconds: 14,
  disksLeftOut: [],
  disksAccepted: [],
  ...parts,
});
const report = (parts: Partial<WeekReport> = {}): WeekReport => ({
  host: 'node1',
  from: '2026-06-08T00:00:00.000Z',
  to: '2026-06-15T00:00:00.000Z',
  worst: 'protected',
  vms: [vm('web1')],
  runs: [],
  orphans: [],
  ...parts,
});

test('the headline says all is well only when it is', () => {
  assert.equal(headline(report()), 'All 1 VMs are protected.');
  assert.equal(headline(report({ vms: [], worst: 'unknown' })), 'There is no VM to protect.');
  const vms = [vm('a', { posture: 'unprotected' }), vm('b', { posture: 'attention' }), vm('c')];
  assert.equal(headline(report({ vms, worst: 'unprotected' })), 'Of 3 VMs: 1 unprotected, 1 attention.');
});

test('names of strangers stay text in the page and in the PDF', () => {
  const evil = vm('<img src=x onerror=alert(1)>)\\ Tj (', {
    posture: 'attention',
    reasons: [{ code: 'x', text: '"quoted" & <b>' }],
    next: { text: 'Look', command: 'hv op show <x>' },
  });
  const html = reportHtml(report({ vms: [evil] }));
  assert.ok(!html.includes('<img'));
  assert.ok(!html.includes('<b>"'));
  const pdf = reportPdf(report({ vms: [evil] })).toString('latin1');
  assert.ok(pdf.includes('(<img src=x onerror=alert\\(1\\)>\\)\\\\ Tj \\()') || pdf.includes('...)'));
});

test('a PDF of many pages finds each of its objects where its table says', () => {
  const pdf = reportPdf(report({ vms: Array.from({ length: 300 }, (_, n) => vm(`vm-${n}`)) })).toString('latin1');
  const start = Number(/startxref\n(\d+)/.exec(pdf)?.[1]);
  assert.equal(pdf.slice(start, start + 4), 'xref');
  const offsets = [...pdf.slice(start).matchAll(/^(\d{10}) 00000 n $/gm)].map(([, at]) => Number(at));
  assert.ok(offsets.length > 12);
  for (const [n, at] of offsets.entries()) assert.ok(pdf.startsWith(`${n + 1} 0 obj`, at));
  for (const [, length, stream] of pdf.matchAll(/\/Length (\d+) >>\nstream\n([\s\S]*?)endstream/g))
    assert.equal(stream?.length, Number(length));
});

test('text is wrapped within its width, and letters of other alphabets become question marks', () => {
  for (const line of wrapPt('Its newest restore point is 3 d old, and one is expected every 1 d.', 9, 120))
    assert.ok(textWidthPt(line, 9) <= 120, line);
  assert.deepEqual(wrapPt('x'.repeat(500), 9, 50).length, 1);
  assert.ok(
    writePdf(
      't',
      [{ kind: 'texts', heightPt: 12, texts: [{ x: 0, text: 'Ü 漢', font: 'regular', sizePt: 9, colour: [0, 0, 0] }] }],
      '',
    )
      .toString('latin1')
      .includes('(Ü ?)'),
  );
});
