/** The report as an answer of the API. */

import type { BytesReply } from '#platform/feature.ts';
import { reportHtml, reportPdf, type WeekReport } from './report.ts';

/** The page has its style inside and nothing else that could run. */
const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

export function reportReply(report: WeekReport, format: 'html' | 'json' | 'pdf'): BytesReply {
  const headers = { 'content-disposition': `inline; filename="backups-${report.to.slice(0, 10)}.${format}"` };
  switch (format) {
    case 'html':
      return {
        contentType: 'text/html; charset=utf-8',
        bytes: reportHtml(report),
        headers: { ...headers, 'content-security-policy': PAGE_POLICY },
      };
    case 'json':
      return { contentType: 'application/json', bytes: `${JSON.stringify(report, null, 2)}\n`, headers };
    case 'pdf':
      return { contentType: 'application/pdf', bytes: reportPdf(report), headers };
  }
}
