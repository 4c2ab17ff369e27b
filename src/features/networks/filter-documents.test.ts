/** The documents of the network filters; what they do to frames of a real guest: test/hostile/nic-filters.test.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attribute, children, parseXml } from '#libvirt/index.ts';
import { filterDocuments } from './filter-documents.ts';

const documents = filterDocuments({ addresses: ['192.0.2.7', '2001:db8::7'], ports: [8443], edition: 0 });
const rootOf = (name: string) => parseXml(documents.find((document) => document.name === name)?.xml(null) ?? '');

test('each filter comes after those that it names, and carries the id of the one that is there', () => {
  const seen = new Set<string>();
  for (const { name, xml } of documents) {
    const root = parseXml(xml('11111111-1111-4111-8111-111111111111'));
    assert.equal(children(root, 'uuid')[0]?.textContent, '11111111-1111-4111-8111-111111111111');
    for (const used of children(root, 'filterref')) assert.ok(seen.has(attribute(used, 'filter') ?? ''), name);
    seen.add(name);
  }
});

test('every address of the machine is closed at the port of the API only, and is nobody else’s', () => {
  const rules = children(rootOf('hyper-mac'), 'rule').map((rule) => {
    const [match] = children(rule);
    return match
      ? [match.nodeName, ...[...match.attributes].map(({ name, value }) => `${name}=${value}`).sort()].join(' ')
      : '';
  });
  for (const wanted of [
    'ip dstipaddr=192.0.2.7 dstportstart=8443 protocol=tcp',
    'ip srcipaddr=192.0.2.7',
    'arp arpsrcipaddr=192.0.2.7',
    'ipv6 dstipaddr=2001:db8::7 dstportstart=8443 protocol=tcp',
    'ipv6 srcipaddr=2001:db8::7',
  ])
    assert.ok(rules.includes(wanted), wanted);
  assert.deepEqual(
    rules.filter((rule) => rule.includes('dstportstart') && !rule.includes('dstipaddr')),
    [],
    'other machines’ services on that port stay reachable',
  );
});

test('the filter that lets everything out has no rule', () => {
  assert.deepEqual(children(rootOf('hyper-off')), []);
});
