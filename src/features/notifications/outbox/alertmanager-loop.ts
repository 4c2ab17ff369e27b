/** Keeps Alertmanagers told of what fires: the whole state, each minute, while it lasts and five minutes after. */

import { messageOf as textOfError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { Secrets } from '#platform/sealed-secrets.ts';
import type { ChannelEntry, Channels } from '../channel-registry.ts';
import { ALERTMANAGER_RESOLVED_MS } from '../channels/alertmanager.ts';
import { digestOf } from '../channels/channel.ts';
import { type AlertNotice, type Message, type ToldAlert, worstOf } from '../message.ts';
import type { OutsideOf } from '../outside.ts';
import { createCauses } from '../routing/inhibition.ts';
import { channelsFor } from '../routing/routes.ts';
import { redact } from '../text.ts';
import { audienceOf } from './audience.ts';
import type { RoundFacts } from './round.ts';
import { endedSince, firingAlerts } from './told-alerts.ts';

export interface AlertmanagerLoopDependencies {
  readonly db: Database;
  readonly log: Logger;
  readonly channels: Channels;
  readonly facts: RoundFacts;
  readonly outside: OutsideOf;
}

/** What is said of one alert, and to whom. */
interface Stated {
  readonly alert: ToldAlert;
  readonly channelIds: ReadonlySet<string>;
}

const statedOf = (kind: 'firing' | 'resolved', notice: AlertNotice, channels: readonly ChannelEntry[]): Stated => ({
  alert: { kind, notice },
  channelIds: new Set(channels.map(({ id }) => id)),
});

const ATTEMPT_MS = 10_000;

export function createAlertmanagerLoop({ db, log, channels, facts, outside }: AlertmanagerLoopDependencies) {
  /** What this process sent as firing. */
  const sent = new Set<string>();
  const stateFor = async (): Promise<readonly Stated[]> => {
    const firing = await firingAlerts(db);
    const causes = createCauses(firing.map(({ notice }) => notice));
    // A state that leaves out what it told of says that it is over: what was told before it was quiet stays until it ends.
    const view = facts.view();
    const told = firing.flatMap(({ notice, firstToldMs, fingerprint }): Stated[] => {
      const wanted = channelsFor(notice, view);
      const heard =
        firstToldMs !== null || sent.has(fingerprint)
          ? wanted
          : audienceOf(notice, { silences: facts.silences, view, causes }).channels;
      return heard.length === 0 ? [] : [statedOf('firing', notice, heard)];
    });
    const ended = (await endedSince(db, facts.nowMs() - ALERTMANAGER_RESOLVED_MS)).map(({ notice }) => notice);
    sent.clear();
    for (const { alert } of told) sent.add(alert.notice.fingerprint);
    return [...told, ...ended.map((notice) => statedOf('resolved', notice, channelsFor(notice, view)))];
  };

  const push = async (channel: ChannelEntry, state: readonly Stated[], lifetime: AbortSignal) => {
    const alerts = state.filter(({ channelIds }) => channelIds.has(channel.id)).map(({ alert }) => alert);
    if (alerts.length === 0) return;
    const message: Message = {
      key: digestOf(`${channel.id}|state|${facts.nowMs()}`),
      thread: `state:${channel.id}`,
      kind: 'alert',
      severity: worstOf(alerts.map(({ notice }) => notice.severity)),
      title: 'state',
      text: '',
      alerts,
      atMs: facts.wallMs(),
      host: facts.host,
      origin: facts.origin(),
    };
    let error: string | null = null;
    let secrets: Secrets = {};
    try {
      const opened = channels.open(channel);
      secrets = opened.secrets;
      await opened.channel.send(
        message,
        outside(AbortSignal.any([lifetime, AbortSignal.timeout(ATTEMPT_MS)]), channel),
      );
    } catch (failure) {
      if (lifetime.aborted) return;
      error = redact(textOfError(failure), Object.values(secrets)).slice(0, 500);
      log.warn({ channel: channel.id }, `the state of alerts was not taken: ${error}`);
    }
    await db.transaction((tx) => channels.recordResult(tx, channel.id, error));
  };

  return {
    async run(lifetime: AbortSignal): Promise<void> {
      const targets = channels.all().filter(({ isLoop, isEnabled }) => isLoop && isEnabled);
      if (targets.length === 0) return;
      const state = await stateFor();
      if (state.length === 0) return;
      for (const channel of targets) await push(channel, state, lifetime);
    },
  };
}
