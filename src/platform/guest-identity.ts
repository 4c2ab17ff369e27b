/** Who a guest says it is, by its agent. Everything it says is a stranger's text: bounded, and shown as text only. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { plainLine } from '#kernel/stranger-text.ts';

export interface GuestIdentity {
  readonly hostname: string | null;
  /** SHA-256 of `/etc/machine-id`, hex. */
  readonly machineId: string | null;
  /** For people, as `Debian GNU/Linux 12 (bookworm)`. */
  readonly os: string | null;
}

/** Sends one command of the agent's protocol and resolves with its whole answer as JSON text. */
export type AgentCommand = (json: string) => Promise<string>;

const MAX_TEXT = 256;

const textSchema = z.string().transform((text) => plainLine(text, MAX_TEXT));
const hostnameSchema = z.object({ return: z.object({ 'host-name': textSchema }) });
const osSchema = z.object({ return: z.object({ 'pretty-name': textSchema.optional(), name: textSchema.optional() }) });
const handleSchema = z.object({ return: z.int() });
const contentSchema = z.object({ return: z.object({ 'buf-b64': z.string().max(1000) }) });

/** @throws what `agent` throws when it does not answer at all */
export async function readGuestIdentity(agent: AgentCommand): Promise<GuestIdentity> {
  await agent('{"execute":"guest-ping"}');
  const hostname = await asked(agent, { execute: 'guest-get-host-name' }, hostnameSchema);
  const os = await asked(agent, { execute: 'guest-get-osinfo' }, osSchema);
  return {
    hostname: hostname?.return['host-name'] || null,
    os: os?.return['pretty-name'] || os?.return.name || null,
    machineId: await readMachineId(agent),
  };
}

/** Whether this is the guest that was backed up. What either of the two does not tell decides nothing.
 *  Where both know their machine id it alone decides: a name may come from a network that is not there now. */
export function isSameGuest(before: GuestIdentity, now: GuestIdentity): boolean {
  if (before.machineId !== null && now.machineId !== null) return before.machineId === now.machineId;
  const names = [before.hostname, now.hostname].map((name) => name?.split('.')[0]?.toLowerCase() ?? null);
  if (names.some((name) => name === null || name === '' || name === 'localhost' || name === '(none)')) return true;
  return names[0] === names[1];
}

async function readMachineId(agent: AgentCommand): Promise<string | null> {
  const handle = await asked(
    agent,
    { execute: 'guest-file-open', arguments: { path: '/etc/machine-id', mode: 'r' } },
    handleSchema,
  );
  if (handle === null) return null;
  const content = await asked(
    agent,
    { execute: 'guest-file-read', arguments: { handle: handle.return, count: 64 } },
    contentSchema,
  );
  await asked(agent, { execute: 'guest-file-close', arguments: { handle: handle.return } }, z.unknown());
  const id = Buffer.from(content?.return['buf-b64'] ?? '', 'base64')
    .toString('latin1')
    .trim();
  return /^[0-9a-f]{32}$/.test(id) ? createHash('sha256').update(id).digest('hex') : null;
}

/** Null for a command that this agent refuses or answers oddly: it is an optional one. */
async function asked<Answer>(
  agent: AgentCommand,
  command: Readonly<Record<string, unknown>>,
  schema: z.ZodType<Answer>,
): Promise<Answer | null> {
  try {
    const parsed = schema.safeParse(JSON.parse(await agent(JSON.stringify(command))));
    return parsed.success ? parsed.data : null;
  } catch {
    // Refused by the guest's own configuration, or not known to its system.
    return null;
  }
}
