/** Mail by SMTP. All recipients stand in one configured list: no address of a message is ever taken from what it is about. */

import { z } from 'zod';
import { hostAndPortSchema, isLoopbackHost, mailAddressSchema } from '#contract/alerts-config.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import { type Mail, MailError } from '#platform/smtp.ts';
import { factsOf, linesOf, linkOf, type Message } from '../message.ts';
import { cleanLine, escapeHtml } from '../text.ts';
import { type ChannelType, digestOf, ownServer, SendError } from './channel.ts';

const settingsSchema = z.strictObject({
  smtp: hostAndPortSchema.describe('mail server as HOST:PORT'),
  tls: z
    .enum(['auto', 'implicit', 'starttls', 'none'])
    .default('auto')
    .describe('auto = implicit on port 465, else starttls; none only for a server on this machine'),
  from: mailAddressSchema.describe('sender'),
  to: z.array(mailAddressSchema).min(1).max(50).describe('recipients'),
  ...ownServer,
});
const secretsSchema = z.strictObject({
  user: z.string().min(1).max(320).optional().describe('name to sign in with at the mail server'),
  password: z.string().min(1).max(1024).optional(),
});

function checkedSettings(value: unknown) {
  return settingsSchema
    .refine(({ tls, smtp }) => tls !== 'none' || isLoopbackHost(smtp), {
      message: 'tls may be none only for a mail server on this machine, as 127.0.0.1:25',
      path: ['tls'],
    })
    .parse(value);
}

function buildMail(message: Message, from: string, to: readonly string[]): Mail {
  const domain = from.slice(from.lastIndexOf('@') + 1);
  const lines = linesOf(message);
  const facts = factsOf(message);
  const link = linkOf(message) ?? message.origin;
  const footer = `${message.host} · ${new Date(message.atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const part = (texts: readonly string[]) => (texts.length === 0 ? [] : [...texts, '']);
  const text = [
    ...part(lines.length === 0 ? [message.title] : lines),
    ...part(facts.map(([name, value]) => `${name}: ${value}`)),
    ...part([link]),
    '-- ',
    footer,
  ];
  const row = ([name, value]: readonly [string, string]) =>
    `<tr><th align="left">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`;
  const address = escapeHtml(link);
  const html = [
    '<!doctype html><html><body style="font-family:sans-serif">',
    `<h2>${escapeHtml(message.title)}</h2>`,
    ...lines.map((line) => `<p>${escapeHtml(line)}</p>`),
    ...(facts.length === 0 ? [] : ['<table cellpadding="4">', ...facts.map(row), '</table>']),
    linkOf(message) === null ? `<p>${address}</p>` : `<p><a href="${address}">${address}</a></p>`,
    `<p style="color:#666">${escapeHtml(footer)}</p></body></html>`,
  ];
  const thread = `${digestOf(message.thread)}.thread@${domain}`;
  return {
    from,
    to,
    subject: cleanLine(message.title, 200),
    text: `${text.join('\n')}\n`,
    html: html.join('\n'),
    messageId: `${digestOf(message.key)}@${domain}`,
    thread: message.kind === 'alert' ? thread : null,
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Hyper-Loop': '1', 'X-Hyper-Severity': message.severity },
  };
}

export const email: ChannelType = {
  id: 'email',
  title: 'E-mail',
  settings: settingsSchema,
  secrets: secretsSchema,
  note: 'The mail server took it; whether it reaches the mailbox is beyond what it tells.',
  isLoop: false,
  // A server may look through a mail for a minute before it says yes; given up before, it would come twice.
  attemptMs: 120_000,
  open(givenSettings, givenSecrets) {
    const { smtp, tls, from, to, ca } = checkedSettings(givenSettings);
    const secrets = secretsSchema.parse(givenSecrets);
    const at = smtp.lastIndexOf(':');
    const port = Number(smtp.slice(at + 1));
    const build = (message: Message) => buildMail(message, from, to);
    return {
      build,
      async send(message, outside) {
        const server = {
          host: smtp.slice(0, at),
          port,
          tls: tls === 'auto' ? (port === 465 ? 'implicit' : 'starttls') : tls,
          user: secrets.user ?? null,
          password: secrets.password ?? null,
          ca: ca ?? null,
        } as const;
        try {
          const { refused } = await outside.mail(server, build(message), outside.signal);
          return refused.length === 0 ? null : `not taken for ${refused.join(', ')}`;
        } catch (error) {
          if (error instanceof MailError) throw new SendError(error.message, { isPermanent: error.isPermanent });
          const isRefused = error instanceof AppError;
          throw new SendError(isRefused ? `${error.message} ${error.hint}` : messageOf(error), {
            isPermanent: isRefused,
          });
        }
      },
    };
  },
};
