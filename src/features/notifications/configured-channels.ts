/** Channels that the configuration names: the mail address, and webhooks whose service shows in their address. */

import { createHash } from 'node:crypto';
import type { ChannelKind } from '#contract/notifications.ts';
import type { Config } from '#platform/config.ts';
import { ConfigError } from '#platform/config.ts';
import type { Secrets } from '#platform/sealed-secrets.ts';
import { readSecretFile } from '#platform/secret-file.ts';
import { hostAndPortOf } from './outside.ts';

export interface ConfiguredChannel {
  readonly id: string;
  readonly name: string;
  readonly kind: ChannelKind;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly secrets: Secrets;
  /** HOST:PORT that the administrator thereby named. */
  readonly host: string;
}

type Recognised = Pick<ConfiguredChannel, 'kind' | 'settings' | 'secrets'>;

/** The service behind an address. What is none that is known gets the JSON of a webhook. */
export function recognise(address: string): Recognised {
  const url = new URL(address);
  const host = url.hostname;
  const isOrBelow = (domain: string) => host === domain || host.endsWith(`.${domain}`);
  const bySecretUrl = (kind: ChannelKind): Recognised => ({ kind, settings: {}, secrets: { url: address } });
  if (host === 'hooks.slack.com') return bySecretUrl('slack');
  if ((isOrBelow('discord.com') || isOrBelow('discordapp.com')) && url.pathname.startsWith('/api/webhooks/'))
    return bySecretUrl('discord');
  if (['logic.azure.com', 'powerplatform.com', 'powerautomate.com', 'webhook.office.com'].some(isOrBelow))
    return bySecretUrl('teams');
  if (isOrBelow('ntfy.sh') && /^\/[-_A-Za-z0-9]{1,64}$/.test(url.pathname))
    return { kind: 'ntfy', settings: { server: url.origin, topic: url.pathname.slice(1) }, secrets: {} };
  const [, token] = /^\/bot([^/]+)\/sendMessage$/.exec(url.pathname) ?? [];
  const chatId = url.searchParams.get('chat_id');
  if (token !== undefined && chatId !== null)
    return { kind: 'telegram', settings: { server: url.origin, chatId }, secrets: { token } };
  if (url.pathname.endsWith('/api/v2/alerts'))
    return { kind: 'alertmanager', settings: { server: address.slice(0, -'api/v2/alerts'.length) }, secrets: {} };
  if (/\/notify\/[^/]+\/?$/.test(url.pathname) && host.includes('apprise')) return bySecretUrl('apprise');
  return bySecretUrl('webhook');
}

/** @throws ConfigError naming the key */
export async function configuredChannels(config: Pick<Config, 'alerts' | 'secrets'>): Promise<ConfiguredChannel[]> {
  const { alerts, secrets: files } = config;
  if (!alerts.enable) return [];
  const secretOf = async (name: string) => {
    const entry = files[name];
    return entry === undefined ? null : (await readSecretFile(entry.file, `secrets.${name}.file`)).trim();
  };
  const channels: ConfiguredChannel[] = [];
  const { email } = alerts;
  if (email.enable && email.smtp !== undefined && email.from !== undefined) {
    const password = await secretOf('smtp-password');
    channels.push({
      id: 'configuration:email',
      name: 'email',
      kind: 'email',
      settings: { smtp: email.smtp, from: email.from, to: email.to, tls: email.tls ? 'auto' : 'none' },
      // Most servers take the sender's address for the name to sign in with.
      secrets: password === null ? {} : { user: (await secretOf('smtp-user')) ?? email.from, password },
      host: email.smtp,
    });
  }
  const counts = new Map<ChannelKind, number>();
  for (const [index, entry] of alerts.webhooks.entries()) {
    // The address itself may be a secret: its place names it.
    const where = `alerts.webhooks[${index}]`;
    const name = entry.startsWith('secret:') ? entry.slice('secret:'.length) : null;
    const address = name === null ? entry : await secretOf(name);
    if (address === null)
      throw new ConfigError(
        `alerts.webhooks: "${entry}" has no file: set secrets.${name}.file to one that holds the address.`,
      );
    const url = URL.parse(address);
    const place = name === null ? where : `${where} ("${entry}")`;
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new ConfigError(`${place} is no http(s):// address with a port of at most 65535.`);
    if (url.username !== '' || url.password !== '')
      throw new ConfigError(`${place} holds a user name or password: give the service a token of its own instead.`);
    const recognised = recognise(address);
    const count = (counts.get(recognised.kind) ?? 0) + 1;
    counts.set(recognised.kind, count);
    channels.push({
      ...recognised,
      id: `configuration:${createHash('sha256').update(address).digest('hex').slice(0, 16)}`,
      name: name ?? (count === 1 ? recognised.kind : `${recognised.kind}-${count}`),
      host: hostAndPortOf(url),
    });
  }
  return channels;
}
