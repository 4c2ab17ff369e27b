/** InfluxDB: a line for each figure in line protocol, as `NAME,label=value value=1 1700000000000`
 *  (docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference). Version 1 takes it at `/write`, version 2 at `/api/v2/write`. */

import type { PushKind } from './kind.ts';
import type { PushSeries, Snapshot } from './snapshot.ts';

/** A backslash at the end would take the separator behind it along; the protocol has no way to write one there. */
const escapeKey = (text: string): string =>
  text
    .replace(/[\r\n]+/g, ' ')
    .replace(/\\$/, '')
    .replace(/[,= ]/g, '\\$&');

const heads = new WeakMap<PushSeries, string>();

function headOf(series: PushSeries): string {
  const known = heads.get(series);
  if (known !== undefined) return known;
  const tags = series.labels.map(([name, value]) => [escapeKey(name), escapeKey(value)] as const);
  const text = `${escapeKey(series.name)}${tags.map(([name, value]) => (value === '' ? '' : `,${name}=${value}`)).join('')}`;
  heads.set(series, text);
  return text;
}

/** Lines of the figures from `from` up to `to`. */
export function lineProtocol({ atMs, series, values }: Snapshot, from: number, to: number): string {
  let text = '';
  for (let n = from; n < to; n += 1) {
    const one = series[n];
    if (one !== undefined) text += `${headOf(one)} value=${values[n]} ${atMs}\n`;
  }
  return text;
}

const body = (snapshot: Snapshot, from: number, to: number) => Buffer.from(lineProtocol(snapshot, from, to));
const headers = { 'content-type': 'text/plain; charset=utf-8' };

export const influxV1: PushKind<'influx_v1'> = {
  url({ url, database, retentionPolicy }) {
    const target = new URL(`${url.replace(/\/$/, '')}/write`);
    target.searchParams.set('db', database);
    if (retentionPolicy !== undefined) target.searchParams.set('rp', retentionPolicy);
    target.searchParams.set('precision', 'ms');
    return target.href;
  },
  headers,
  authorization: 'bearer',
  body,
};

export const influxV2: PushKind<'influx_v2'> = {
  url({ url, organisation, bucket }) {
    const target = new URL(`${url.replace(/\/$/, '')}/api/v2/write`);
    target.searchParams.set('org', organisation);
    target.searchParams.set('bucket', bucket);
    target.searchParams.set('precision', 'ms');
    return target.href;
  },
  headers,
  authorization: 'token',
  body,
};
