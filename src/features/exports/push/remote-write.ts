/** Prometheus remote write 1.0 (prometheus.io/docs/specs/prw/remote_write_spec): a `WriteRequest` in protobuf, compressed with Snappy.
 *  Of that message only this is written:
 *  WriteRequest { repeated TimeSeries timeseries = 1 }, TimeSeries { repeated Label labels = 1; repeated Sample samples = 2 },
 *  Label { string name = 1; string value = 2 }, Sample { double value = 1; int64 timestamp = 2, in milliseconds }. */

import type { PushKind } from './kind.ts';
import { snappyCompress } from './snappy.ts';
import type { PushSeries, Snapshot } from './snapshot.ts';

/** Number of a field and how it is written: 0 = varint, 1 = eight bytes, 2 = length and bytes. */
const tag = (field: number, wire: 0 | 1 | 2): number => (field << 3) | wire;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  // Times in milliseconds have more bits than shifts can take.
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

const field = (number: number, bytes: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(tag(number, 2), ...varint(bytes.length)), bytes]);
const text = (number: number, value: string): Uint8Array => field(number, Buffer.from(value));

const labelBytes = new WeakMap<PushSeries, Uint8Array>();

/** The labels of a series never change, so they are written once. */
function labelsOf(series: PushSeries): Uint8Array {
  const known = labelBytes.get(series);
  if (known !== undefined) return known;
  const labels = [['__name__', series.name] as const, ...series.labels].map(([name, value]) =>
    field(1, Buffer.concat([text(1, name), text(2, value)])),
  );
  const bytes = Buffer.concat(labels);
  labelBytes.set(series, bytes);
  return bytes;
}

/** The message before it is compressed. */
export function writeRequest({ atMs, series, values }: Snapshot, from: number, to: number): Uint8Array {
  const time = Uint8Array.of(tag(2, 0), ...varint(atMs));
  const parts: Uint8Array[] = [];
  for (let n = from; n < to; n += 1) {
    const one = series[n];
    if (one === undefined) continue;
    const value = Buffer.allocUnsafe(9);
    value[0] = tag(1, 1);
    value.writeDoubleLE(values[n] ?? 0, 1);
    const labels = labelsOf(one);
    const sampleLength = value.length + time.length;
    const sampleHead = Uint8Array.of(tag(2, 2), sampleLength);
    const length = labels.length + sampleHead.length + sampleLength;
    parts.push(Uint8Array.of(tag(1, 2), ...varint(length)), labels, sampleHead, value, time);
  }
  return Buffer.concat(parts);
}

export const remoteWrite: PushKind<'remote_write'> = {
  url: ({ url }) => url,
  headers: {
    'content-type': 'application/x-protobuf',
    'content-encoding': 'snappy',
    'x-prometheus-remote-write-version': '0.1.0',
  },
  authorization: 'bearer',
  body: (snapshot, from, to) => snappyCompress(writeRequest(snapshot, from, to)),
};
