/** Who hears of an alert at this moment, and whom somebody spares: a silence, a cause that was told, another alert about the same. Pure. */

import type { ChannelEntry } from '../channel-registry.ts';
import type { AlertNotice } from '../message.ts';
import type { Causes } from '../routing/inhibition.ts';
import { channelsFor, type RoutingView } from '../routing/routes.ts';
import type { Silences, StoredSilence } from '../routing/silences.ts';

/** Why an alert is held back altogether. */
export interface Hold {
  /** `silence:<id>`, or `inhibited`. */
  readonly hold: string;
  readonly remark: string;
  /** Null under a silence. */
  readonly by: AlertNotice | null;
}

export interface Audience {
  /** Null when it is told to anybody, or when nobody takes it. */
  readonly hold: Hold | null;
  /** None while it is held. */
  readonly channels: readonly ChannelEntry[];
  /** Channel → what speaks for it there. */
  readonly spared: ReadonlyMap<string, AlertNotice>;
}

/** Readers of a project learn of a silence of the system that it is one, not what for. */
export const silencedRemark = (
  { id, reason, project }: Pick<StoredSilence, 'id' | 'reason' | 'project'>,
  readers: string | null,
): string => `silenced: ${readers === null || project === readers ? reason : id}`;

export const sparedRemark = ({ rule }: AlertNotice): string => `"${rule.name}" tells of it`;

interface Facts {
  readonly silences: Pick<Silences, 'covering'>;
  readonly view: RoutingView<ChannelEntry>;
  readonly causes: Causes;
}

export function audienceOf(notice: AlertNotice, { silences, view, causes }: Facts): Audience {
  const none = { channels: [], spared: new Map<string, AlertNotice>() };
  const silence = silences.covering(notice);
  if (silence)
    return {
      ...none,
      hold: { hold: `silence:${silence.id}`, remark: silencedRemark(silence, notice.project), by: null },
    };
  const cause = causes.of(notice);
  if (cause)
    return {
      ...none,
      hold: { hold: 'inhibited', remark: `${cause.rule.name} on ${cause.host} explains it`, by: cause },
    };
  const wanted = channelsFor(notice, view);
  const spared = new Map<string, AlertNotice>();
  for (const speaker of causes.speakersFor(notice)) {
    // What is not told itself tells of nothing else.
    if (silences.covering(speaker) !== null || causes.of(speaker) !== null) continue;
    for (const { id, project } of channelsFor(speaker, view)) {
      // The rule of a project quiets none of the system's channels.
      const isItsOwn = speaker.rule.project === null || speaker.rule.project === project;
      if (isItsOwn && !spared.has(id) && wanted.some((channel) => channel.id === id)) spared.set(id, speaker);
    }
  }
  const channels = wanted.filter(({ id }) => !spared.has(id));
  const [speaker] = spared.values();
  const hold =
    channels.length === 0 && speaker !== undefined
      ? { hold: 'inhibited', remark: sparedRemark(speaker), by: speaker }
      : null;
  return { hold, channels, spared };
}
