/** Network cards of the host, and the table of tracked connections. */

import type { HealthItem } from '#contract/health.ts';
import {
  conclude,
  type Finding,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  unknown,
} from '../check.ts';
import { levelCheck } from '../level-check.ts';
import { bytesPerSecond, percent, perSecond, plural } from '../text.ts';

const TEN_MINUTES_MS = 10 * MINUTE_MS;
const CLASS = '/sys/class/net';

/** The names of bonds, and how many of the cards of each have no link. Format: the kernel's Documentation/networking/bonding.rst. */
async function bondsOf({ machine }: HealthContext): Promise<ReadonlyMap<string, { cards: number; down: number }>> {
  const bonds = new Map<string, { cards: number; down: number }>();
  for (const name of (await machine.list('/proc/net/bonding')) ?? []) {
    const cards = ((await machine.readText(`/proc/net/bonding/${name}`)) ?? '').split(/^Slave Interface:/m).slice(1);
    bonds.set(name, { cards: cards.length, down: cards.filter((text) => !/^MII Status: up$/m.test(text)).length });
  }
  return bonds;
}

async function cards(context: HealthContext): Promise<Finding | null> {
  const { figures, machine, limit } = context;
  const hint = 'Look at the cable, the port of the switch and its settings: `ethtool NAME`, `ip -s link show NAME`.';
  const links = figures.fresh('nic_up', 'nic');
  if (links.length === 0)
    return unknown('No network card was measured.', 'Look at `ip link` and at the log of hyperd.');
  const bySub = (metric: 'nic_speed') => new Map(figures.fresh(metric, 'nic').map(({ sub, value }) => [sub, value]));
  const errors = new Map(
    figures.fresh('net_errors', 'nic').map((figure) => [figure.sub, figures.mean(figure, TEN_MINUTES_MS)]),
  );
  const speeds = bySub('nic_speed');
  const bonds = await bondsOf(context);
  const items: HealthItem[] = [];
  for (const link of links) {
    const isCard = (await machine.facts(`${CLASS}/${link.sub}/device`)) !== null;
    const bond = bonds.get(link.sub);
    if (!isCard && bond === undefined) continue;
    const name = link.sub;
    const isInBond = (await machine.facts(`${CLASS}/${name}/bonding_slave`)) !== null;
    // A card that nothing is plugged into is no fault; one that lost its link, or that a bridge stands on, is.
    const isUsed =
      bond !== undefined ||
      figures.values(link, HOUR_MS).includes(1) ||
      (await machine.facts(`${CLASS}/${name}/brport`)) !== null;
    const rate = errors.get(name) ?? 0;
    const speed = speeds.get(name);
    if (link.value === 0) {
      if (isUsed) items.push({ name, status: isInBond ? 'warn' : 'fail', detail: 'has no link' });
    } else if (bond !== undefined && bond.down > 0)
      items.push({ name, status: 'warn', detail: `${bond.down} of its ${bond.cards} cards have no link` });
    else if (levelOf(rate, limit('network.errors')) !== 'ok')
      items.push({
        name,
        status: levelOf(rate, limit('network.errors')),
        detail: `${perSecond(rate)} packets are lost to errors`,
      });
    else if (
      speed !== undefined &&
      levelOf(speed, limit('network.speed')) === 'warn' &&
      speed < (limit('network.speed').warn ?? 0)
    )
      items.push({ name, status: 'warn', detail: `its link is slow: ${bytesPerSecond(speed)}` });
    else items.push({ name, status: 'ok', detail: 'has a link' });
  }
  if (items.length === 0) return unknown('No network card of the machine has a link.', hint);
  return conclude(items, `${plural(items.length, 'card')} with links and without errors.`, hint);
}

export const networkChecks: readonly HealthCheck[] = [
  {
    id: 'network.cards',
    number: 24,
    title: 'Network cards',
    meaning: 'Links, speeds and errors of the cards of the host, and bonds made of them.',
    warnsWhen: 'a card of a bond has no link',
    failsWhen: 'a card that is used, or a whole bond, has no link',
    limits: ['network.errors', 'network.speed'],
    everyMs: MINUTE_MS,
    isAnnounced: true,
    run: cards,
  },
  levelCheck({
    id: 'network.connections',
    number: 25,
    title: 'Tracked connections',
    meaning: 'When the table is full, new connections of all guests behind NAT are refused.',
    metric: 'conntrack_usage',
    kind: 'host',
    limit: 'network.connections',
    show: percent,
    what: 'of the table of tracked connections is in use',
    hint: 'Raise it: `sysctl -w net.netfilter.nf_conntrack_max=524288`; see who has so many: `conntrack -L | head`.',
    isExpected: false,
  }),
];
