/** Images that are here: what they are, what their content was checked against, and who uses them. */

import { useSignal } from '@preact/signals';
import type { Image, ImageKind } from '#contract/images.ts';
import { Button, ButtonLink } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { ConfirmDialog, Dialog } from '../../components/dialog.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Chips, isSearched, SearchField } from '../../components/filters.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { Card, EmptyState, Facts, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { follow } from '../../state/operations.ts';
import { currentQuery, navigate, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';

const words = text.images;

const TONES: Readonly<Record<Image['verified'], Tone>> = {
  signature: 'good',
  checksum: 'accent',
  given_checksum: 'accent',
  none: 'unknown',
};

export function VerifiedBadge({ level }: { readonly level: Image['verified'] }) {
  return (
    <Badge tone={TONES[level]} title={words.verifiedHints[level]}>
      {words.verified[level]}
    </Badge>
  );
}

const KINDS: readonly ImageKind[] = ['iso', 'disk', 'kernel', 'initrd'];

export function Library({ onUpload }: { readonly onUpload: () => void }) {
  const shown = useSignal<Image | null>(null);
  const deleting = useSignal<Image | null>(null);
  const query = currentQuery.value;
  const kind = KINDS.find((candidate) => candidate === query.get('kind'));
  return (
    <Loaded resource={images} lines={8}>
      {(known) => {
        if (known.size === 0)
          return (
            <EmptyState
              icon="image"
              title={words.empty}
              action={
                can('image.upload') && (
                  <>
                    <ButtonLink kind="primary" href="/images/catalogue">
                      {words.openCatalogue}
                    </ButtonLink>
                    <Button icon="upload" onClick={onUpload}>
                      {words.upload}
                    </Button>
                  </>
                )
              }
            >
              {words.emptyNote}
            </EmptyState>
          );
        const all = [...known.values()].sort((a, b) => a.name.localeCompare(b.name));
        const list = all.filter(
          (image) => (!kind || image.kind === kind) && isSearched(`${image.name} ${image.label ?? ''} ${image.source}`),
        );
        const menuOf = (image: Image): MenuEntry[] => [
          { label: words.details, icon: 'list', run: () => (shown.value = image) },
          ...(can('vm.create') && (image.kind === 'iso' || image.kind === 'disk')
            ? [
                {
                  label: words.createVm,
                  icon: 'plus' as const,
                  run: () => navigate(`/vms/new?image=${encodeURIComponent(image.id)}`),
                },
              ]
            : []),
          ...(can('image.delete')
            ? [
                {
                  label: words.delete,
                  icon: 'trash' as const,
                  isDangerous: true,
                  isDisabled: image.usedBy.length > 0,
                  hint: image.usedBy.length > 0 ? words.deleteUsed : '',
                  startsGroup: true,
                  run: () => (deleting.value = image),
                },
              ]
            : []),
        ];
        return (
          <>
            <div class="filters">
              <SearchField label={words.search} />
              <Chips
                label={words.kind}
                chosen={kind ?? null}
                options={KINDS.filter((value) => all.some((image) => image.kind === value)).map((value) => ({
                  value,
                  label: text.imageKinds[value],
                }))}
                onChoose={(value) => setQuery({ kind: value })}
              />
            </div>
            {list.length === 0 ? (
              <EmptyState
                icon="search"
                title={words.nothingFits}
                action={<Button onClick={() => setQuery({ q: null, kind: null })}>{text.vms.clearFilters}</Button>}
              />
            ) : (
              <Card class="is-flush">
                <StackTable
                  rows={list}
                  keyOf={(image) => image.id}
                  columns={[
                    {
                      head: words.name,
                      kind: 'title',
                      class: 'breaks',
                      cell: (image) => (
                        <>
                          <button type="button" class="link mono" onClick={() => (shown.value = image)}>
                            {image.name}
                          </button>
                          {image.state === 'missing' && (
                            <>
                              {' '}
                              <Badge tone="bad" title={words.missingHint}>
                                {words.missing}
                              </Badge>
                            </>
                          )}
                        </>
                      ),
                    },
                    { head: words.kind, isSelfEvident: true, cell: (image) => text.imageKinds[image.kind] },
                    {
                      head: words.size,
                      kind: 'number',
                      isSelfEvident: true,
                      cell: (image) => bytesText(image.sizeBytes),
                    },
                    {
                      head: words.checked,
                      isSelfEvident: true,
                      cell: (image) => <VerifiedBadge level={image.verified} />,
                    },
                    {
                      head: words.usedBy,
                      cell: (image) =>
                        image.usedBy.length === 0 ? (
                          <span class="muted">{words.unused}</span>
                        ) : (
                          words.vms(image.usedBy.length)
                        ),
                    },
                    { head: words.added, cell: (image) => <TimeAgo iso={image.createdAt} /> },
                    {
                      head: text.vms.actions,
                      kind: 'menu',
                      cell: (image) => <Menu label={text.vms.actionsFor(image.name)} entries={menuOf(image)} />,
                    },
                  ]}
                />
              </Card>
            )}
            {shown.value && (
              <Details image={known.get(shown.value.id) ?? shown.value} onClose={() => (shown.value = null)} />
            )}
            {deleting.value && <DeleteImage image={deleting.value} onClose={() => (deleting.value = null)} />}
          </>
        );
      }}
    </Loaded>
  );
}

function DeleteImage({ image, onClose }: { readonly image: Image; readonly onClose: () => void }) {
  return (
    <ConfirmDialog
      title={words.deleteTitle(image.name)}
      action={words.deleteAction(image.name)}
      onClose={onClose}
      onConfirm={() => void follow(api('DELETE /images/{id}', { params: { id: image.id } }))}
    >
      <p>{words.deleteBody(bytesText(image.sizeBytes))}</p>
    </ConfirmDialog>
  );
}

function Details({ image, onClose }: { readonly image: Image; readonly onClose: () => void }) {
  return (
    <Dialog title={image.name} onClose={onClose} isWide>
      <Facts
        items={[
          [words.kind, [text.imageKinds[image.kind], image.format, image.label].filter(Boolean).join(' · ')],
          [
            words.size,
            image.virtualSizeBytes === image.sizeBytes
              ? bytesText(image.sizeBytes)
              : words.sizes(bytesText(image.sizeBytes), bytesText(image.virtualSizeBytes)),
          ],
          [
            words.checked,
            <>
              <VerifiedBadge level={image.verified} />{' '}
              <span class="muted small">{words.verifiedHints[image.verified]}</span>
            </>,
          ],
          [
            'SHA-256',
            <span class="with-copy">
              <code>{image.sha256}</code>
              <CopyButton value={image.sha256} />
            </span>,
          ],
          [words.source, <span class="mono">{words.sources[image.source] ?? image.source}</span>],
          ...(image.defaultUser ? [[words.defaultUser, <code key="u">{image.defaultUser}</code>] as const] : []),
          [words.added, <TimeAgo key="t" iso={image.createdAt} />],
          [
            words.usedBy,
            image.usedBy.length === 0 ? (
              words.unused
            ) : (
              <span class="name-list">
                {image.usedBy.map(({ vmId, name, place }) =>
                  place === 'elsewhere' ? (
                    <span key={vmId}>{words.elsewhere(name)}</span>
                  ) : (
                    <a key={vmId} href={place === 'trash' ? '/trash' : `/vms/${vmId}`}>
                      {place === 'trash' ? words.inTrash(name) : name}
                    </a>
                  ),
                )}
              </span>
            ),
          ],
        ]}
      />
    </Dialog>
  );
}
