/** The section `alerts` of the configuration, as `services.hypervisor-alerts` writes it: where messages go and which rules there are. */

import { z } from 'zod';
import { parseDuration } from '#kernel/units.ts';

export const SEVERITIES = ['info', 'warning', 'critical'] as const;
export const severitySchema = z.enum(SEVERITIES);
export type Severity = z.infer<typeof severitySchema>;

/** `30m`, `1h30m`, `2d`. */
export const durationTextSchema = z
  .string()
  .regex(/^(\d{1,6}(ms|s|m|h|d|w))+$/, 'use a duration as 30m, 1h30m or 2d')
  .describe('a duration as 30m, 1h30m or 2d');

/** Milliseconds of a text that `durationTextSchema` takes. */
export function durationMs(text: string): number {
  return parseDuration(text) ?? 0;
}

/** A mail address without display name. */
export const mailAddressSchema = z
  .string()
  .max(254)
  .regex(/^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, 'use NAME@HOST');

export const hostAndPortSchema = z
  .string()
  .max(270)
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):\d{1,5}$/, 'use HOST:PORT');

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]):/;

export const isLoopbackHost = (hostAndPort: string): boolean => LOOPBACK.test(hostAndPort);

const emailSchema = z
  .strictObject({
    enable: z.boolean().default(false).describe('send mail'),
    smtp: hostAndPortSchema
      .optional()
      .describe('the mail server as HOST:PORT; on port 465 TLS begins at once, on others by STARTTLS'),
    from: mailAddressSchema.optional().describe('sender'),
    to: z.array(mailAddressSchema).max(50).default([]).describe('recipients'),
    tls: z.boolean().default(true).describe('false = without encryption, for a mail server on this machine only'),
  })
  .refine(({ enable, smtp }) => !enable || smtp !== undefined, 'email.enable needs email.smtp, as mail.example.org:587')
  .refine(({ enable, from }) => !enable || from !== undefined, 'email.enable needs email.from')
  .refine(({ enable, to }) => !enable || to.length > 0, 'email.enable needs at least one address in email.to')
  .refine(
    ({ tls, smtp }) => tls || smtp === undefined || isLoopbackHost(smtp),
    'email.tls may be false only for a mail server on this machine, as 127.0.0.1:25',
  );

/** An address to send to, or the name of an entry of `secrets` that holds one. */
const webhookSchema = z
  .string()
  .max(4096)
  .regex(/^(https?:\/\/\S+|secret:[a-z0-9][a-z0-9-]{0,62})$/, 'use an http(s):// address, or secret:NAME')
  .meta({ secret: true });

export const configuredRuleSchema = z.strictObject({
  name: z.string().min(1).max(100),
  condition: z.string().min(1).max(512).describe('in the rule language, as disk_usage > 85%'),
  severity: severitySchema.default('warning'),
  cooldown: durationTextSchema.default('30m').describe('least time between two messages about the same thing'),
  clear: z.string().max(100).optional().describe('level at which it is over'),
  keepFiring: durationTextSchema.optional().describe('how long it must be over before that is told'),
  noData: z.enum(['keep', 'alert', 'ok']).optional().describe('what missing figures mean'),
  labels: z.record(z.string().max(64), z.string().max(256)).optional(),
  runbook: z.string().max(1000).optional(),
  channels: z.array(z.string().max(100)).max(50).optional().describe('names of channels, instead of the routing'),
  desiredOnly: z.boolean().optional(),
  enabled: z.boolean().optional(),
  project: z.string().max(63).optional(),
});

export const alertsConfigSchema = z
  .strictObject({
    enable: z.boolean().default(true).describe('false = the mail address and the webhooks named here are not used'),
    email: emailSchema.prefault({}),
    webhooks: z
      .array(webhookSchema)
      .max(50)
      .default([])
      .describe('addresses to send to; which service it is shows in the host. secret:NAME takes it from `secrets`'),
    rules: z
      .array(configuredRuleSchema)
      .max(500)
      .default([])
      .refine((rules) => new Set(rules.map(({ name }) => name)).size === rules.length, 'two rules have the same name'),
  })
  .prefault({});

/** How messages leave this machine; for what the document of alerts has no word. */
export const notificationsConfigSchema = z
  .strictObject({
    allowPrivateHosts: z
      .array(z.string().max(253))
      .default([])
      .describe('hosts on private or loopback addresses that messages may be sent to, as host or host:port'),
    deadManUrl: z
      .url({ protocol: /^https?$/ })
      .max(4096)
      .optional()
      .meta({ secret: true })
      .describe(
        'address outside that is asked every minute while all is well; its silence tells that this machine is down',
      ),
  })
  .prefault({});

/** Secrets by file: `smtp-user`, `smtp-password`, and what `secret:NAME` names. */
export const secretsConfigSchema = z
  .record(
    z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use lower-case letters, digits and dashes'),
    z.strictObject({ file: z.string().max(4096).regex(/^\//, 'use an absolute path') }),
  )
  .default({})
  .describe('files with secrets, readable by hyperd alone: smtp-user, smtp-password, and those named secret:NAME');
