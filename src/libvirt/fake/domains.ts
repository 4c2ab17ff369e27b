/** A fake host full of domains: list, define, start, stop, state, XML, statistics and lifecycle events, as libvirt's test driver has them. */

import { randomUUID } from 'node:crypto';
import type { StatValues } from '../codec.ts';
import { DOMAIN_EVENTS, P } from '../table.ts';
import { readDomain } from '../xml/domain.ts';
import { element, serialize } from '../xml/tree.ts';
import { createFakeServer, FakeFailure, type FakeServer } from './server.ts';

interface FakeDomain {
  readonly uuid: string;
  name: string;
  xml: string;
  id: number;
}

export interface FakeHost extends FakeServer {
  readonly domains: ReadonlyMap<string, FakeDomain>;
}

const NO_DOMAIN = 42;
const INVALID = 55;
const RUNNING = 1;
const OFF = 5;
const LIFECYCLE = { defined: 0, undefined: 1, started: 2, stopped: 5 } as const;

/** @param count how many domains are there from the beginning; every second one runs */
export function createFakeHost({ count = 0, statsPerDomain = 80 } = {}): FakeHost {
  const server = createFakeServer();
  const domains = new Map<string, FakeDomain>();
  let nextId = 1;
  let nextCallback = 1;

  for (let index = 0; index < count; index += 1) {
    const uuid = randomUUID();
    const name = `vm-${index}`;
    domains.set(uuid, { uuid, name, xml: definition(name, uuid), id: index % 2 === 0 ? nextId++ : -1 });
  }

  const wire = ({ uuid, name, id }: FakeDomain) => ({ uuid, name, id });
  const find = (uuid: string): FakeDomain => {
    const domain = domains.get(uuid);
    if (!domain) throw new FakeFailure(NO_DOMAIN, `no domain with matching uuid '${uuid}'`);
    return domain;
  };
  const tell = (domain: FakeDomain, event: keyof typeof LIFECYCLE, detail = 0) =>
    server.emit(DOMAIN_EVENTS.lifecycle, { dom: wire(domain), event: LIFECYCLE[event], detail });
  const stateOf = (domain: FakeDomain) => (domain.id < 0 ? OFF : RUNNING);

  server.answer(P.connectGetLibVersion, () => ({ lib_ver: 9_000_000n }));
  server.answer(P.connectGetHostname, () => ({ hostname: 'fake' }));
  server.answer(P.nodeGetInfo, () => ({
    model: 'x86_64',
    memory: 33_554_432n,
    cpus: 8,
    mhz: 3000,
    nodes: 1,
    sockets: 1,
    cores: 8,
    threads: 1,
  }));
  server.answer(P.connectListAllDomains, ({ flags }) => {
    const wanted = [...domains.values()].filter(
      (domain) => (flags & 3) === 0 || (flags & (domain.id < 0 ? 2 : 1)) !== 0,
    );
    return { domains: wanted.map(wire), ret: wanted.length };
  });
  server.answer(P.connectListAllNetworks, () => ({ nets: [], ret: 0 }));
  server.answer(P.connectListAllStoragePools, () => ({ pools: [], ret: 0 }));
  const register = () => ({ cb: nextCallback++ });
  server.answer(P.connectDomainEventCallbackRegisterAny, register);
  server.answer(P.networkEventRegister, register);
  server.answer(P.poolEventRegister, register);
  server.answer(P.domainLookupByUuid, ({ uuid }) => ({ dom: wire(find(uuid)) }));
  server.answer(P.domainLookupByName, ({ name }) => {
    const found = [...domains.values()].find((domain) => domain.name === name);
    if (!found) throw new FakeFailure(NO_DOMAIN, `no domain with matching name '${name}'`);
    return { dom: wire(found) };
  });
  server.answer(P.domainDefineXmlFlags, ({ xml }) => {
    const facts = readDomain(xml);
    const uuid = facts.uuid ?? randomUUID();
    const domain = { uuid, name: facts.name, xml, id: domains.get(uuid)?.id ?? -1 };
    domains.set(uuid, domain);
    tell(domain, 'defined');
    return { dom: wire(domain) };
  });
  server.answer(P.domainUndefineFlags, ({ dom }) => {
    const domain = find(dom.uuid);
    domains.delete(domain.uuid);
    tell(domain, 'undefined');
    return {};
  });
  server.answer(P.domainCreateWithFlags, ({ dom }) => {
    const domain = find(dom.uuid);
    if (domain.id >= 0) throw new FakeFailure(INVALID, 'domain is already running');
    domain.id = nextId++;
    tell(domain, 'started');
    return { dom: wire(domain) };
  });
  server.answer(P.domainDestroyFlags, ({ dom }) => {
    const domain = find(dom.uuid);
    if (domain.id < 0) throw new FakeFailure(INVALID, 'domain is not running');
    domain.id = -1;
    tell(domain, 'stopped', 1);
    return {};
  });
  server.answer(P.domainGetState, ({ dom }) => ({ state: stateOf(find(dom.uuid)), reason: 0 }));
  server.answer(P.domainGetInfo, ({ dom }) => {
    const domain = find(dom.uuid);
    return { state: stateOf(domain), maxMem: 1_048_576n, memory: 1_048_576n, nrVirtCpu: 1, cpuTime: 0n };
  });
  server.answer(P.domainGetXmlDesc, ({ dom }) => ({ xml: find(dom.uuid).xml }));
  server.answer(P.connectGetAllDomainStats, ({ doms }) => {
    const wanted = doms.length === 0 ? [...domains.values()] : doms.flatMap(({ uuid }) => domains.get(uuid) ?? []);
    return {
      retStats: wanted.map((domain) => ({ dom: wire(domain), values: statsOf(stateOf(domain), statsPerDomain) })),
    };
  });
  return { ...server, domains };
}

function statsOf(state: number, count: number): StatValues {
  const values = new Map<string, number>([['state.state', state]]);
  for (let index = 1; index < count; index += 1) values.set(`block.${index % 8}.figure-${index}`, index * 1_000_003);
  return values;
}

function definition(name: string, uuid: string): string {
  return serialize(
    element(
      'domain',
      { type: 'test' },
      element('name', {}, name),
      element('uuid', {}, uuid),
      element('memory', { unit: 'KiB' }, 1_048_576),
      element('vcpu', {}, 1),
      element('os', {}, element('type', { arch: 'x86_64' }, 'hvm')),
    ),
  );
}
