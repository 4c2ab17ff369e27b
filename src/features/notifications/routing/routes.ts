/** Which channels a notice goes to: what its rule names, else the first route that fits, else all channels for warnings and worse. Names that
 *  lead to no channel at all are no reason for silence: then the next of these decides.
 *  What belongs to a project goes only to channels of that project and of the system. */

import type { Route, Routing } from '#contract/notifications.ts';
import type { ChannelEntry } from '../channel-registry.ts';
import { type AlertNotice, isWorse } from '../message.ts';
import { routeFits } from './match.ts';

type Destination = Pick<ChannelEntry, 'id' | 'name' | 'project' | 'isEnabled'>;

export interface RoutingView<Entry extends Destination> {
  readonly routes: Routing['routes'];
  readonly channels: readonly Entry[];
  projectName(id: string): string | null;
  now(): Date;
}

const mayHear = (channel: Destination, notice: AlertNotice): boolean =>
  channel.isEnabled && (channel.project === null || channel.project === notice.project);

function named<Entry extends Destination>(
  names: readonly string[],
  notice: AlertNotice,
  channels: readonly Entry[],
): Entry[] {
  return channels.filter(
    (channel) => (names.includes(channel.id) || names.includes(channel.name)) && mayHear(channel, notice),
  );
}

function fitting<Entry extends Destination>(notice: AlertNotice, view: RoutingView<Entry>): Route[] {
  const projectName = notice.project === null ? null : view.projectName(notice.project);
  const found: Route[] = [];
  for (const route of view.routes) {
    if (!routeFits(route, notice, projectName, view.now())) continue;
    found.push(route);
    if (!route.goesOn) break;
  }
  return found;
}

const exists = (name: string, { channels }: RoutingView<Destination>): boolean =>
  channels.some((channel) => channel.id === name || channel.name === name);

/** Whether a list of names leads anywhere; an empty one leads nowhere on purpose. */
const leads = (names: readonly string[], view: RoutingView<Destination>): boolean =>
  names.length === 0 || names.some((name) => exists(name, view));

/** Names of channels that the rule or its routes send to and that are none. */
export function missingChannels<Entry extends Destination>(notice: AlertNotice, view: RoutingView<Entry>): string[] {
  const names = [...(notice.rule.channels ?? []), ...fitting(notice, view).flatMap(({ channels }) => channels)];
  return [...new Set(names)].filter((name) => !exists(name, view));
}

export function channelsFor<Entry extends Destination>(notice: AlertNotice, view: RoutingView<Entry>): Entry[] {
  if (notice.rule.channels !== null && leads(notice.rule.channels, view))
    return named(notice.rule.channels, notice, view.channels);
  const routed = fitting(notice, view).map(({ channels }) => channels);
  if (routed.length > 0 && leads(routed.flat(), view)) return named(routed.flat(), notice, view.channels);
  return isWorse(notice.severity, 'info') ? view.channels.filter((channel) => mayHear(channel, notice)) : [];
}

/** The steps of escalation, first the one that is due first. */
export function escalationFor<Entry extends Destination>(
  notice: AlertNotice,
  view: RoutingView<Entry>,
): { readonly afterMs: number; readonly channels: Entry[] }[] {
  return fitting(notice, view)
    .flatMap(({ escalation }) => escalation)
    .map(({ afterMinutes, channels }) => ({
      afterMs: afterMinutes * 60_000,
      channels: named(channels, notice, view.channels),
    }))
    .sort((one, other) => one.afterMs - other.afterMs);
}
