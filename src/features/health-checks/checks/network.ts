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

async function cards(context: HealthContext): Promise<Finding | null> {
  const { figures, machine, limit } = context;
  const hint = 'Look at the cable, the port of the switch and its settings: `ethtool NAME`, `ip -s link show NAME`.';
  const links = figures.fresh('nic_up', 'nic');
  if (links.length === 0)
    return unknown('No network card was measured.', 'Look at `ip link` and at the log of hyperd.');
  const bySub = (metric: 'nic_speed' | 'bond_cards' | 'bond_cards_down') =>
    new Map(figures.fresh(metric, 'nic').map(({ sub, value }) => [sub, value]));
  const errors = new Map(
    figures.fresh('net_errors', 'nic').map((figure) => [figure.sub, figures.mean(figure, TEN_MINUTES_MS)]),
  );
  const speeds = bySub('nic_speed');
  const cardsOfBonds = bySub('bond_cards');
  const downOfBonds = bySub('bond_cards_down');
  const items: HealthItem[] = [];
  for (const link of links) {
    const isCard = (await machine.facts(`${CLASS}/${link.sub}/device`)) !== null;
    const cardsOfBond = cardsOfBonds.get(link.sub);
    if (!isCard && cardsOfBond === undefined) continue;
    const name = link.sub;
    const isInBond = (await machine.facts(`${CLASS}/${name}/bonding_slave`)) !== null;
    // A card that nothing is plugged into is no fault; one that lost its link, or that a bridge stands on, is.
    const isUsed =
      cardsOfBond !== undefined ||
      figures.values(link, HOUR_MS).includes(1) ||
      (await machine.facts(`${CLASS}/${name}/brport`)) !== null;
    const rate = errors.get(name) ?? 0;
    const speed = speeds.get(name);
    const down = downOfBonds.get(name) ?? 0;
    if (link.value === 0) {
      if (isUsed) items.push({ name, status: isInBond ? 'warn' : 'fail', detail: 'has no link' });
    } else if (down > 0)
      items.push({ name, status: 'warn', detail: `${down} of its ${cardsOfBond ?? down} cards have no link` });
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
