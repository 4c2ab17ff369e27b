import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import type { MetricFamily } from '#platform/feature.ts';
import { influxV1, influxV2, lineProtocol } from './influx.ts';
import { metricsData } from './otlp.ts';
import { remoteWrite, writeRequest } from './remote-write.ts';
import { snappyCompress } from './snappy.ts';
import { createSnapshots } from './snapshot.ts';

const SEED = Number(process.env['HV_TEST_SEED'] ?? Date.now() % 2 ** 31);
const AT_MS = 1_795_000_000_000;

const FAMILIES: readonly MetricFamily[] = [
  {
    name: 'hyper_vm_cpu_seconds_total',
    type: 'counter',
    unit: 'seconds',
    help: 'Time.',
    samples: [
      { labels: { vm: 'web 1,a=b\\', uuid: 'u1', os: '' }, value: 12.25 },
      { labels: { vm: 'two\nlines', uuid: 'u2' }, value: 2 ** 53 },
    ],
  },
  { name: 'hyper_vms', type: 'gauge', help: 'VMs.', samples: [{ labels: { host: 'other' }, value: -1.5e-7 }] },
];
const snapshot = () => createSnapshots().take(FAMILIES, 'node1', AT_MS);

test('a moment holds each series once, with the host, sorted labels and no empty ones', () => {
  const snapshots = createSnapshots();
  const first = snapshots.take([...FAMILIES, ...FAMILIES], 'node1', AT_MS);
  assert.deepEqual(
    first.series.map(({ name, labels }) => [name, ...labels.flat()]),
    [
      ['hyper_vm_cpu_seconds_total', 'host', 'node1', 'uuid', 'u1', 'vm', 'web 1,a=b\\'],
      ['hyper_vm_cpu_seconds_total', 'host', 'node1', 'uuid', 'u2', 'vm', 'two\nlines'],
      ['hyper_vms', 'host', 'other'],
    ],
  );
  assert.deepEqual([...first.values], [12.25, 2 ** 53, -1.5e-7]);
  const second = snapshots.take(FAMILIES, 'node1', AT_MS + 10_000);
  assert.ok(
    second.series.every((one, n) => one === first.series[n]),
    'names are held once',
  );
});

test('a name that became the same as another, and what is no number, are left out', () => {
  const samples = [
    { labels: { pool: 'p' }, value: Number.NaN },
    { labels: { pool: 'q' }, value: 1 },
    { labels: { pool: 'q' }, value: 2 },
  ];
  const taken = createSnapshots().take([{ name: 'x', type: 'gauge', help: '', samples }], 'h', 0);
  assert.deepEqual([...taken.values], [1]);
});

test('lines of InfluxDB, and where they go', () => {
  assert.equal(
    lineProtocol(snapshot(), 0, 3),
    [
      'hyper_vm_cpu_seconds_total,host=node1,uuid=u1,vm=web\\ 1\\,a\\=b value=12.25 1795000000000',
      'hyper_vm_cpu_seconds_total,host=node1,uuid=u2,vm=two\\ lines value=9007199254740992 1795000000000',
      'hyper_vms,host=other value=-1.5e-7 1795000000000',
      '',
    ].join('\n'),
  );
  const common = { name: 'x' };
  assert.equal(
    influxV1.url({ ...common, kind: 'influx_v1', url: 'http://127.0.0.1:8086/', database: 'a&b' }),
    'http://127.0.0.1:8086/write?db=a%26b&precision=ms',
  );
  assert.equal(
    influxV2.url({ ...common, kind: 'influx_v2', url: 'https://i.example/base', organisation: 'o', bucket: 'b/c' }),
    'https://i.example/base/api/v2/write?org=o&bucket=b%2Fc&precision=ms',
  );
  assert.equal(influxV2.authorization, 'token');
});

/** Written from the format's description, apart from the compressor. */
function snappyDecompress(bytes: Uint8Array): Uint8Array {
  let at = 0;
  const next = () => bytes[at++] ?? assert.fail('the text ends early');
  let size = 0;
  for (let shift = 1; ; shift *= 128) {
    const byte = next();
    size += (byte & 127) * shift;
    if (byte < 128) break;
  }
  const out: number[] = [];
  while (at < bytes.length) {
    const head = next();
    if ((head & 3) === 0) {
      let length = head >> 2;
      if (length >= 60) {
        const width = length - 59;
        length = 0;
        for (let n = 0; n < width; n += 1) length += next() * 256 ** n;
      }
      for (let n = 0; n <= length; n += 1) out.push(next());
    } else {
      assert.equal(head & 3, 2, 'only copies with two bytes of offset are written');
      const offset = next() + next() * 256;
      assert.ok(offset > 0 && offset <= out.length);
      for (let n = 0; n <= head >> 2; n += 1) out.push(out[out.length - offset] ?? 0);
    }
  }
  assert.equal(out.length, size);
  return Uint8Array.from(out);
}

test('what Snappy compressed is what it was', (context) => {
  context.diagnostic(`seed ${SEED}`);
  const repetitive = fc
    .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.integer({ min: 1, max: 40 })), { maxLength: 40 })
    .map((parts) => Buffer.concat(parts.flatMap(([bytes, times]) => Array.from({ length: times }, () => bytes))));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 3000 }), repetitive), (input) => {
      assert.deepEqual(Buffer.from(snappyDecompress(snappyCompress(input))), Buffer.from(input));
    }),
    { seed: SEED, numRuns: 300 },
  );
  const far = Buffer.concat([Buffer.from('the same words'), Buffer.alloc(70_000, 1), Buffer.from('the same words')]);
  assert.deepEqual(Buffer.from(snappyDecompress(snappyCompress(far))), far);
  assert.ok(snappyCompress(far).length < 5_000);
});

/** Fields of a protobuf message, as the wire format describes them. */
function fieldsOf(bytes: Uint8Array): { readonly field: number; readonly value: Uint8Array | number }[] {
  const fields: { field: number; value: Uint8Array | number }[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? assert.fail('the message ends early');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const head = varint();
    const wire = head & 7;
    if (wire === 0) fields.push({ field: head >> 3, value: varint() });
    else {
      const length = wire === 1 ? 8 : varint();
      fields.push({ field: head >> 3, value: bytes.subarray(at, at + length) });
      at += length;
    }
  }
  assert.equal(at, bytes.length);
  return fields;
}
const bytesOf = (value: Uint8Array | number): Uint8Array =>
  typeof value === 'number' ? assert.fail('a number where bytes belong') : value;

test('a WriteRequest holds each series with sorted labels and one sample', () => {
  const taken = snapshot();
  const request = snappyDecompress(remoteWrite.body(taken, 0, 3));
  assert.deepEqual(Buffer.from(request), Buffer.from(writeRequest(taken, 0, 3)));
  const series = fieldsOf(request).map(({ field, value }) => {
    assert.equal(field, 1);
    const parts = fieldsOf(bytesOf(value));
    const labels = parts
      .filter((part) => part.field === 1)
      .map((part) => fieldsOf(bytesOf(part.value)).map((one) => Buffer.from(bytesOf(one.value)).toString()));
    const samples = parts.filter((part) => part.field === 2).map((part) => fieldsOf(bytesOf(part.value)));
    return { labels, samples };
  });
  assert.deepEqual(series[0]?.labels, [
    ['__name__', 'hyper_vm_cpu_seconds_total'],
    ['host', 'node1'],
    ['uuid', 'u1'],
    ['vm', 'web 1,a=b\\'],
  ]);
  const values = series.map(({ samples }) => {
    assert.equal(samples.length, 1);
    const [value, time] = samples[0] ?? [];
    assert.equal(time?.value, AT_MS);
    return Buffer.from(bytesOf(value?.value ?? 0)).readDoubleLE(0);
  });
  assert.deepEqual(values, [12.25, 2 ** 53, -1.5e-7]);
});

/** Names and types of opentelemetry-proto 1.9.0, `metrics/v1/metrics.proto` with `common.proto` and `resource.proto`, as the JSON mapping of
 *  OTLP has them; what is not there must not be sent. */
const attributes = z.array(
  z.strictObject({ key: z.string().min(1), value: z.strictObject({ stringValue: z.string() }) }),
);
const dataPoints = z.array(
  z.strictObject({ attributes, timeUnixNano: z.string().regex(/^\d{19}$/), asDouble: z.number() }),
);
const described = { name: z.string().min(1), description: z.string(), unit: z.string() };
const metricsDataSchema = z.strictObject({
  resourceMetrics: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeMetrics: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string(), version: z.string() }),
          metrics: z.array(
            z.union([
              z.strictObject({ ...described, gauge: z.strictObject({ dataPoints }) }),
              z.strictObject({
                ...described,
                sum: z.strictObject({ aggregationTemporality: z.literal(2), isMonotonic: z.literal(true), dataPoints }),
              }),
            ]),
          ),
        }),
      ),
    }),
  ),
});

test('OTLP has the names of the published protocol', () => {
  const sent = JSON.parse(JSON.stringify(metricsData(snapshot(), 0, 3)));
  const { metrics = [] } = metricsDataSchema.parse(sent).resourceMetrics[0]?.scopeMetrics[0] ?? {};
  assert.deepEqual(metrics[0], {
    name: 'hyper_vm_cpu_seconds_total',
    description: 'Time.',
    unit: 's',
    sum: {
      aggregationTemporality: 2,
      isMonotonic: true,
      dataPoints: [
        {
          attributes: [
            { key: 'host', value: { stringValue: 'node1' } },
            { key: 'uuid', value: { stringValue: 'u1' } },
            { key: 'vm', value: { stringValue: 'web 1,a=b\\' } },
          ],
          timeUnixNano: '1795000000000000000',
          asDouble: 12.25,
        },
        {
          attributes: [
            { key: 'host', value: { stringValue: 'node1' } },
            { key: 'uuid', value: { stringValue: 'u2' } },
            { key: 'vm', value: { stringValue: 'two\nlines' } },
          ],
          timeUnixNano: '1795000000000000000',
          asDouble: 2 ** 53,
        },
      ],
    },
  });
  assert.equal(metrics.length, 2);
});
