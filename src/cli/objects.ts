/** Finding objects: whole lists over all pages, and "did you mean" for names that nobody has. */

import type { Completion } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { didYouMean } from './parse.ts';
import { toFailure } from './problems.ts';

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** All items of a paged list. `fetchPage` gets the query for the page: nothing for the first. */
export async function collect<Item>(
  fetchPage: (query: { readonly cursor?: string }) => Promise<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = [];
  let page = await fetchPage({});
  items.push(...page.items);
  while (page.next !== null) {
    page = await fetchPage({ cursor: page.next });
    items.push(...page.items);
  }
  return items;
}

type Kind = Exclude<Completion, 'file' | null>;

const LABELS: Readonly<Record<Kind, { readonly one: string; readonly list: string }>> = {
  vm: { one: 'VM', list: 'hv vm list' },
  image: { one: 'image', list: 'hv image list' },
  network: { one: 'network', list: 'hv network list' },
  pool: { one: 'storage pool', list: 'hv pool list' },
  operation: { one: 'operation', list: 'hv op list' },
  trash: { one: 'VM in the trash', list: 'hv trash list' },
  catalogue: { one: 'catalogue entry', list: 'hv image catalogue list' },
  host: { one: 'host', list: 'hv host list' },
  session: { one: 'session', list: 'hv session list' },
  project: { one: 'project', list: 'hv project list' },
  user: { one: 'user', list: 'hv user list' },
  group: { one: 'group', list: 'hv group list' },
  role: { one: 'role', list: 'hv role list' },
  grant: { one: 'grant', list: 'hv grant list' },
  token: { one: 'token', list: 'hv token list' },
  channel: { one: 'channel', list: 'hv channel list' },
  silence: { one: 'silence', list: 'hv silence list' },
  alert: { one: 'alert', list: 'hv alert list' },
  rule: { one: 'alert rule', list: 'hv rule list' },
  repository: { one: 'repository', list: 'hv repo list' },
  'restore-point': { one: 'restore point', list: 'hv backup list' },
  schedule: { one: 'schedule', list: 'hv backup schedule list' },
};

/** Names by which an object of a kind can be called. */
export async function namesOf({ api }: CommandContext, kind: Kind): Promise<string[]> {
  switch (kind) {
    case 'vm':
      return (await collect((query) => api('GET /vms', { query }))).map(({ name }) => name);
    case 'image':
      return (await collect((query) => api('GET /images', { query }))).map(({ name }) => name);
    case 'network':
      return (await collect((query) => api('GET /networks', { query }))).map(({ name }) => name);
    case 'pool':
      return (await collect((query) => api('GET /pools', { query }))).map(({ name }) => name);
    case 'operation':
      return (await api('GET /operations', { query: { limit: 100 } })).items.map(({ id }) => id);
    case 'trash':
      return (await collect((query) => api('GET /trash', { query }))).map(({ name }) => name);
    case 'catalogue':
      return (await api('GET /images/catalogue', {})).items.map(({ id }) => id);
    case 'host':
      return (await api('GET /hosts')).items.map(({ name }) => name);
    case 'session':
      return (await api('GET /auth/sessions')).items.map(({ id }) => id);
    case 'project':
      return (await collect((query) => api('GET /projects', { query }))).map(({ name }) => name);
    case 'user':
      return (await collect((query) => api('GET /users', { query }))).map(({ name }) => name);
    case 'group':
      return (await collect((query) => api('GET /groups', { query }))).map(({ name }) => name);
    case 'role':
      return (await collect((query) => api('GET /roles', { query }))).map(({ name }) => name);
    case 'grant':
      return (await collect((query) => api('GET /grants', { query }))).map(({ id }) => id);
    case 'token':
      return (await collect((query) => api('GET /tokens', { query }))).map(({ name }) => name);
    case 'channel':
      return (await collect((query) => api('GET /channels', { query }))).map(({ name }) => name);
    case 'silence':
      return (await collect((query) => api('GET /silences', { query }))).map(({ id }) => id);
    case 'alert':
      return (await collect((query) => api('GET /alerts', { query }))).map(({ id }) => id);
    case 'rule':
      return (await collect((query) => api('GET /rules', { query }))).map(({ name }) => name);
    case 'repository':
      return (await collect((query) => api('GET /repositories', { query }))).map(({ name }) => name);
    case 'schedule':
      return (await api('GET /backup-schedules')).items.map(({ name }) => name);
    case 'restore-point':
      return (await collect((query) => api('GET /restore-points', { query }))).map(({ id }) => id);
  }
}

/** Longest name or id that the API takes. */
const MAX_NAME = 256;

/** Runs a call about the named object; when there is none, the failure names the nearest one. */
export async function about<Answer>(
  context: CommandContext,
  kind: Kind,
  name: string,
  call: (id: string) => Promise<Answer>,
): Promise<Answer> {
  if (name.length > MAX_NAME) {
    throw new Failure(`no ${LABELS[kind].one} "${name.slice(0, 40)}…"`, {
      exit: EXIT.notFound,
      code: 'not_found',
      hint: `That is longer than any name; \`${LABELS[kind].list}\` lists them.`,
    });
  }
  try {
    return await call(name);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.exit !== EXIT.notFound) throw failure;
    throw await missing(context, kind, name, failure);
  }
}

async function missing(context: CommandContext, kind: Kind, name: string, failure: Failure): Promise<Failure> {
  const { one, list } = LABELS[kind];
  // The list is only for the hint: when it cannot be had, the refusal itself still tells what is wrong.
  const names = await namesOf(context, kind).catch(() => null);
  return new Failure(`no ${one} "${name}"${didYouMean(name, names ?? [])}`, {
    exit: EXIT.notFound,
    code: failure.code,
    hint: names?.length === 0 ? `There is none at all; \`${list}\` lists them.` : `\`${list}\` lists them.`,
    ...(failure.problem ? { problem: failure.problem } : {}),
  });
}
