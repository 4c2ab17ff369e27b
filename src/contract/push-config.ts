/** The entries `metrics.push[]` of the configuration: where figures are sent. */

import { z } from 'zod';

const text = (what: string) => z.string().min(1).max(300).describe(what);
const filePath = (what: string) => z.string().max(4096).regex(/^\//, 'use an absolute path').optional().describe(what);

const address = (what: string) =>
  z
    .string()
    .max(2000)
    .refine((value) => {
      const url = URL.parse(value);
      return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
    }, 'use an https:// or http:// address without user name and password')
    .describe(what);

const common = {
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'use lower-case letters, digits and dashes')
    .describe('how status, figures and problems call it'),
  tokenFile: filePath('file with a token, readable by hyperd alone'),
  user: text('user name, with passwordFile').optional(),
  passwordFile: filePath('file with the password, readable by hyperd alone'),
  caFile: filePath("certificate authority (PEM) that the target's certificate is checked against"),
};

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Somebody on the way could read a secret that is not encrypted; on this machine itself nobody can. */
const keepsSecrets = (url: string): boolean => {
  const parsed = URL.parse(url);
  return parsed !== null && (parsed.protocol === 'https:' || LOOPBACK.test(parsed.hostname));
};

export const pushTargetSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('influx_v1'),
      ...common,
      url: address('address of InfluxDB 1, as http://127.0.0.1:8086'),
      database: text('database to write to; it must exist'),
      retentionPolicy: text('retention policy; absent = that of the database').optional(),
    }),
    z.strictObject({
      kind: z.literal('influx_v2'),
      ...common,
      url: address('address of InfluxDB 2 or 3, as https://influx.example.org'),
      organisation: text('name or id of the organisation'),
      bucket: text('bucket to write to'),
    }),
    z.strictObject({
      kind: z.literal('remote_write'),
      ...common,
      url: address(
        'whole address of a receiver of Prometheus remote write, as https://prometheus.example.org/api/v1/write',
      ),
    }),
    z.strictObject({
      kind: z.literal('otlp'),
      ...common,
      url: address('whole address of an OpenTelemetry receiver, as https://otel.example.org/v1/metrics'),
    }),
  ])
  .refine(
    ({ tokenFile, user, passwordFile }) =>
      tokenFile === undefined || (user === undefined && passwordFile === undefined),
    'use either tokenFile or user and passwordFile',
  )
  .refine(
    ({ user, passwordFile }) => (user === undefined) === (passwordFile === undefined),
    'user and passwordFile go together',
  )
  .refine(
    ({ url, tokenFile, passwordFile }) => (tokenFile === undefined && passwordFile === undefined) || keepsSecrets(url),
    'a secret is sent over https:// only, or to this machine itself',
  );
export type PushTarget = z.output<typeof pushTargetSchema>;

export const PUSH_KINDS = [
  'influx_v1',
  'influx_v2',
  'remote_write',
  'otlp',
] as const satisfies readonly PushTarget['kind'][];
