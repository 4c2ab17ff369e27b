/** `hv network`: networks of libvirt and bridges of the host. */

import type { Network } from '#contract/networks.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { markOf, stateText } from './glyphs.ts';
import { about, collect } from './objects.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { one } from './values.ts';

function addressesOf(network: Network): string {
  return (
    safeText(
      network.addresses.map(({ address, prefix, dhcp }) => `${address}/${prefix}${dhcp ? ' (DHCP)' : ''}`).join(', '),
    ) || '–'
  );
}

const COLUMNS: readonly Column<Network>[] = [
  {
    title: 'NAME',
    value: (network) => safeText(network.name),
    flexibleTo: 12,
    colour: (text, _network, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: (network) => stateText(network.state),
    colour: (text, network, paint) => paint(markOf(network.state).colour, text),
  },
  { title: 'KIND', value: (network) => network.kind.replaceAll('_', ' ') },
  { title: 'ADDRESS', value: addressesOf, flexibleTo: 18 },
  { title: 'BRIDGE', value: (network) => safeText(network.bridge ?? '–'), isOptional: true },
  { title: 'VMS', value: (network) => String(network.usedBy.length), align: 'right', isOptional: true },
];

export const commands = defineCommands([
  command({
    path: ['network', 'list'],
    summary: 'List networks and bridges',
    examples: ['network list'],
    run: async ({ api, output }) => {
      const networks = await collect((query) => api('GET /networks', { query }));
      if (output.isJson) output.json(networks);
      else printTable(output, COLUMNS, networks, 'No networks. `hv preflight` says what is missing.');
      return EXIT.done;
    },
  }),
  command({
    path: ['network', 'show'],
    summary: 'Show a network with its leases',
    positionals: { name: one('NAME', 'name or UUID of the network', { completes: 'network' }) },
    examples: ['network show default'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const network = await about(context, 'network', args.name, (id) => api('GET /networks/{id}', { params: { id } }));
      if (output.isJson) {
        output.json(network);
        return EXIT.done;
      }
      printFacts(output, [
        ['name', output.paint('bold', safeText(network.name))],
        ['state', output.paint(markOf(network.state).colour, stateText(network.state))],
        ['kind', network.kind.replaceAll('_', ' ')],
        ['bridge', network.bridge === null ? null : safeText(network.bridge)],
        ['address', addressesOf(network)],
        ['autostart', network.autostart ? 'yes' : 'no'],
        ['used by', safeText(network.usedBy.map(({ name }) => name).join(', ')) || 'no VM'],
        ['id', safeText(network.id)],
      ]);
      if (network.leases.length > 0) {
        printHeading(output, 'Leases');
        printTable(
          output,
          [
            { title: 'ADDRESS', value: (lease) => safeText(lease.address) },
            { title: 'MAC', value: (lease) => safeText(lease.mac) },
            { title: 'HOST NAME', value: (lease) => safeText(lease.hostname ?? '–'), flexibleTo: 10 },
            { title: 'ENDS', value: (lease) => ageText(lease.expiresAt), isOptional: true },
          ],
          network.leases,
          '',
        );
      }
      return EXIT.done;
    },
  }),
]);
