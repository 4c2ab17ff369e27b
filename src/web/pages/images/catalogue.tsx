/** Well-known systems, and honestly what can be checked about each. */

import { useEffect } from 'preact/hooks';
import type { CatalogueEntry } from '#contract/images.ts';
import { Button } from '../../components/button.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Chips, isSearched, SearchField } from '../../components/filters.tsx';
import { EmptyState, Loaded } from '../../components/page.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { catalogue, images } from '../../state/library.ts';
import { follow, openOperations } from '../../state/operations.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { hostArchitecture, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { VerifiedBadge } from './library.tsx';

const words = text.catalogue;

const KINDS = ['iso', 'disk'] as const;
/** In the address: entries for every architecture. */
const ALL = 'all';

export function Catalogue() {
  useEffect(() => {
    if (can('vm.read')) vms.ensure();
  }, []);
  const query = currentQuery.value;
  const kind = KINDS.find((candidate) => candidate === query.get('kind'));
  const ours = hostArchitecture.value;
  // Who searches finds also what this host cannot run, behind what it can.
  const arch = query.get('arch') ?? (query.has('q') ? ALL : ours);
  const check = () =>
    void follow(api('POST /images/catalogue/check', { body: {} }), { onDone: () => void catalogue.reload() });
  return (
    <Loaded resource={catalogue} lines={8}>
      {(entries) => {
        const found = entries
          .filter(
            (entry) =>
              (!kind || entry.kind === kind) &&
              (arch === ALL || entry.arch === arch) &&
              isSearched(`${entry.name} ${entry.version} ${entry.arch} ${text.imageKinds[entry.kind]}`),
          )
          .sort((a, b) => Number(b.arch === ours) - Number(a.arch === ours));
        const wasChecked = entries.some((entry) => entry.lastChecked !== null);
        return (
          <>
            <div class="filters">
              <SearchField label={words.search} />
              <Chips
                label={text.images.kind}
                chosen={kind ?? null}
                options={KINDS.map((value) => ({ value, label: text.imageKinds[value] }))}
                onChoose={(value) => setQuery({ kind: value })}
              />
              <Chips
                label={words.architecture}
                chosen={arch === ALL ? null : arch}
                options={[...new Set([ours, ...entries.map((entry) => entry.arch)])].map((value) => ({
                  value,
                  label: value,
                }))}
                onChoose={(value) => setQuery({ arch: value ?? ALL })}
              />
              <span class="filter-count catalogue-check">
                {!wasChecked && <span class="muted small">{words.noneChecked}</span>}
                {can('image.upload') && (
                  <Button icon="reboot" onClick={check} title={words.checkHint}>
                    {words.check}
                  </Button>
                )}
              </span>
            </div>
            {found.length === 0 ? (
              <EmptyState
                icon="search"
                title={words.nothing}
                action={
                  <Button onClick={() => setQuery({ q: null, kind: null, arch: ALL })}>{text.vms.clearFilters}</Button>
                }
              >
                {words.nothingNote}
              </EmptyState>
            ) : (
              <ul class="catalogue">
                {found.map((entry) => (
                  <Entry key={entry.id} entry={entry} isOurs={entry.arch === ours} wasChecked={wasChecked} />
                ))}
              </ul>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

/** @param wasChecked some entry was, so that one which was not is worth a word */
function Entry({
  entry,
  isOurs,
  wasChecked,
}: {
  readonly entry: CatalogueEntry;
  readonly isOurs: boolean;
  readonly wasChecked: boolean;
}) {
  const isHere = [...(images.data.value?.values() ?? [])].some((image) => image.catalogueId === entry.id);
  const isComing = openOperations.value.some(
    (operation) => operation.kind === 'image.download' && operation.objectName === entry.id,
  );
  return (
    <li class="card entry">
      <div class="entry-head">
        <h2>{entry.name}</h2>
        <Badge>{text.imageKinds[entry.kind]}</Badge>
      </div>
      <p class="muted small">
        {entry.version} ·{' '}
        {isOurs ? (
          entry.arch
        ) : (
          <Badge tone="warn" title={words.otherArchitecture}>
            {entry.arch}
          </Badge>
        )}{' '}
        ·{' '}
        {words.suggested(
          entry.suggested.vcpus,
          bytesText(entry.suggested.memoryBytes),
          bytesText(entry.suggested.diskBytes),
        )}
      </p>
      <p class="entry-check small">
        <VerifiedBadge level={entry.verification} />
        {wasChecked && (
          <span class="muted">
            {entry.lastChecked === null ? (
              words.neverChecked
            ) : (
              <>
                {entry.lastResult ?? words.noResult}, <TimeAgo iso={entry.lastChecked} />
              </>
            )}
          </span>
        )}
      </p>
      <p class="entry-foot">
        <a href={entry.homepage} target="_blank" rel="noopener noreferrer">
          {words.homepage}
        </a>
        {isHere ? (
          <span class="muted small">{words.here}</span>
        ) : (
          can('image.upload') && (
            <Button
              isSmall
              icon="download"
              isBusy={isComing}
              title={entry.url}
              onClick={() =>
                void follow(api('POST /images/catalogue/{id}/download', { params: { id: entry.id }, body: {} }))
              }
            >
              {text.images.downloadOne}
            </Button>
          )
        )}
      </p>
    </li>
  );
}
