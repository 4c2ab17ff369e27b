/** Well-known systems, and honestly what can be checked about each. */

import { useSignal } from '@preact/signals';
import type { CatalogueEntry } from '#contract/images.ts';
import { Button } from '../../components/button.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Icon } from '../../components/icon.tsx';
import { EmptyState, Loaded } from '../../components/page.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { catalogue, images } from '../../state/library.ts';
import { follow, openOperations } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { VerifiedBadge } from './library.tsx';

const words = text.catalogue;

export function Catalogue() {
  const query = useSignal('');
  const check = () =>
    void follow(api('POST /images/catalogue/check', { body: {} }), { onDone: () => void catalogue.reload() });
  return (
    <Loaded resource={catalogue} lines={8}>
      {(entries) => {
        const found = entries.filter((entry) =>
          `${entry.name} ${entry.version} ${entry.arch} ${text.imageKinds[entry.kind]}`
            .toLowerCase()
            .includes(query.value.toLowerCase()),
        );
        return (
          <>
            <div class="filters">
              <span class="filter-search">
                <Icon name="search" />
                <input
                  type="search"
                  aria-label={words.search}
                  placeholder={words.search}
                  value={query.value}
                  onInput={(event) => (query.value = event.currentTarget.value)}
                />
              </span>
              {can('image.upload') && (
                <Button icon="reboot" class="filter-count" onClick={check} title={words.checkHint}>
                  {words.check}
                </Button>
              )}
            </div>
            {found.length === 0 ? (
              <EmptyState icon="search" title={words.nothing}>
                {words.nothingNote}
              </EmptyState>
            ) : (
              <ul class="catalogue">
                {found.map((entry) => (
                  <Entry key={entry.id} entry={entry} />
                ))}
              </ul>
            )}
          </>
        );
      }}
    </Loaded>
  );
}

function Entry({ entry }: { readonly entry: CatalogueEntry }) {
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
        {entry.version} · {entry.arch} ·{' '}
        {words.suggested(
          entry.suggested.vcpus,
          bytesText(entry.suggested.memoryBytes),
          bytesText(entry.suggested.diskBytes),
        )}
      </p>
      <p class="entry-check small">
        <VerifiedBadge level={entry.verification} />
        <span class="muted">
          {entry.lastChecked === null ? (
            words.neverChecked
          ) : (
            <>
              {entry.lastResult ?? words.noResult}, <TimeAgo iso={entry.lastChecked} />
            </>
          )}
        </span>
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
