/** Which machines we may talk to on a user's behalf: public ones, and those that the configuration names. */

import ipaddr from 'ipaddr.js';
import { AppError } from '#kernel/errors.ts';
import './errors.ts';

/** Address kinds that a host named in the configuration may have. Everything else stays refused even then, but for a literal address. */
const ALLOWABLE_KINDS: ReadonlySet<string> = new Set(['private', 'uniqueLocal', 'loopback', 'carrierGradeNat']);

/** Address kinds that are never a server, whoever names them. */
const NEVER: ReadonlySet<string> = new Set(['unspecified', 'multicast', 'broadcast', 'invalid']);

const KIND_NAMES: Readonly<Record<string, string>> = {
  private: 'a private network address',
  uniqueLocal: 'a private network address',
  loopback: 'this machine itself',
  linkLocal: 'a link-local address',
  carrierGradeNat: 'a provider-internal address',
  unspecified: 'no address at all',
  multicast: 'a multicast address',
  broadcast: 'a broadcast address',
  ipv4Mapped: 'an IPv4 address written as IPv6',
  rfc6052: 'an IPv4 address behind NAT64',
  invalid: 'not an IP address',
};

/** The kind of an address in ipaddr.js terms; `unicast` is a public one. Only 2000::/3 counts as public IPv6, so that
 *  ranges invented later (or IPv4 hidden in `::/96`) are refused until someone has looked at them. */
export function addressKind(address: string): string {
  if (!ipaddr.isValid(address) || address.includes('%')) return 'invalid';
  const parsed = ipaddr.parse(address);
  if (parsed instanceof ipaddr.IPv4) return ipaddr.IPv4.isValidFourPartDecimal(address) ? parsed.range() : 'invalid';
  const kind = parsed.range();
  if (kind !== 'unicast') return kind;
  const first = parsed.parts[0] ?? 0;
  return first >= 0x2000 && first <= 0x3fff ? 'unicast' : 'reserved';
}

/** Host and port as they stand in the allow list: `mirror.lan`, `mirror.lan:8080`, `10.0.0.5`, `[fd00::5]:8080`, `fd00::5`. */
interface AllowedHost {
  readonly host: string;
  readonly port: string | null;
}

function canonicalHost(host: string): string {
  const bare = host
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  return ipaddr.isValid(bare) ? ipaddr.parse(bare).toString() : bare;
}

function parseAllowedHost(entry: string): AllowedHost {
  const text = entry.trim();
  if (ipaddr.IPv6.isValid(text)) return { host: canonicalHost(text), port: null };
  const match = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (!match) return { host: '', port: null };
  return { host: canonicalHost(match[1] ?? ''), port: match[2] ?? null };
}

/** The port that a URL means, written or not. */
export function portOf(url: URL): string {
  return url.port || (url.protocol === 'https:' ? '443' : '80');
}

export function isAllowedHost(url: URL, allowPrivateHosts: readonly string[]): boolean {
  const host = canonicalHost(url.hostname);
  return allowPrivateHosts.some((entry) => {
    const allowed = parseAllowedHost(entry);
    return allowed.host === host && (allowed.port === null || allowed.port === portOf(url));
  });
}

/** Why we do not talk to `address` for this URL, in words, or null when we may. */
export function addressProblem(url: URL, address: string, allowPrivateHosts: readonly string[]): string | null {
  const kind = addressKind(address);
  if (kind === 'unicast') return null;
  const problem = KIND_NAMES[kind] ?? 'a reserved address';
  if (NEVER.has(kind) || !isAllowedHost(url, allowPrivateHosts)) return problem;
  const isLiteral = ipaddr.isValid(canonicalHost(url.hostname));
  return isLiteral || ALLOWABLE_KINDS.has(kind) ? null : problem;
}

/** Checks the form of a URL that someone gave us, without looking it up.
 *  @throws AppError `url_refused` */
export function parseFetchUrl(text: string, base?: URL): URL {
  const refuse = (problem: string, mend: string) =>
    new AppError('url_refused', {
      detail: `The address ${problem}.`,
      hint: mend,
      fields: [{ path: 'url', problem, mend }],
    });
  if (text.length > 4096) throw refuse('is longer than 4,096 characters', 'Give a shorter address.');
  if (!URL.canParse(text, base)) throw refuse('is not a URL', 'Give one such as https://example.org/image.iso.');
  const url = new URL(text, base);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw refuse(
      `begins with ${JSON.stringify(url.protocol.slice(0, 20))}`,
      'Only http:// and https:// can be fetched.',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw refuse('holds a user name or password', 'Remove it: it would end up in lists and logs.');
  }
  if (url.hostname === '') throw refuse('names no host', 'Give one such as https://example.org/image.iso.');
  url.hash = '';
  return url;
}

/** A URL as it may be shown and logged: the query often holds a signature or token. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`;
}
