/** Which channels a notice goes to: what its rule names, else the first route that fits, else all channels for warnings and worse.
 *  What belongs to a project goes only to channels of that project and of the system. */

import type { Route, Routing } from '#contract/notifications.ts';
import type { ChannelEntry } from '../channels.ts';
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

export function channelsFor<Entry extends Destination>(notice: AlertNotice, view: RoutingView<Entry>): Entry[] {
  if (notice.rule.channels !== null) return named(notice.rule.channels, notice, view.channels);
  const routes = fitting(notice, view);
  if (routes.length > 0)
    return named(
      routes.flatMap(({ channels }) => channels),
      notice,
      view.channels,
    );
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
