/** Search over VMs, images, users, projects and pages; opens with `/`. */

import { computed, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { VmState } from '#contract/vms.ts';
import { navigationPages } from '../../routes.ts';
import { users } from '../../state/access.ts';
import { can } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { projects } from '../../state/projects.ts';
import { navigate } from '../../state/router.ts';
import { addressesOf, vmList, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { Dialog } from '../dialog.tsx';
import { Icon, type IconName } from '../icon.tsx';
import { Glyph, vmTone } from '../state-mark.tsx';

interface Hit {
  readonly href: string;
  readonly title: string;
  readonly note: string;
  readonly icon: IconName;
  readonly state?: VmState;
  /** What the words are looked for in, lower case. */
  readonly haystack: string;
}

const MOST_HITS = 12;

const hits = computed<readonly Hit[]>(() => [
  ...vmList.value.map((vm) => ({
    href: `/vms/${vm.id}`,
    title: vm.name,
    note: [text.vmStates[vm.state], vm.title, addressesOf(vm)[0]].filter(Boolean).join(' · '),
    icon: 'vm' as const,
    state: vm.state,
    haystack: [
      vm.name,
      vm.title,
      vm.description,
      vm.id,
      ...vm.nics.flatMap((nic) => [nic.mac, ...nic.addresses.map((entry) => entry.address)]),
    ]
      .join(' ')
      .toLowerCase(),
  })),
  ...[...(images.data.value?.values() ?? [])].map((image) => ({
    href: `/images?q=${encodeURIComponent(image.name)}`,
    title: image.name,
    note: text.imageKinds[image.kind],
    icon: 'image' as const,
    haystack: `${image.name} ${image.label ?? ''}`.toLowerCase(),
  })),
  ...(users.data.value ?? []).map((user) => ({
    href: `/settings/security/users/${user.id}`,
    title: user.name,
    note: [text.pages.user, user.title].filter(Boolean).join(' · '),
    icon: 'user' as const,
    haystack: `${user.name} ${user.title ?? ''}`.toLowerCase(),
  })),
  ...(projects.data.value ?? []).map((project) => ({
    href: `/projects/${project.id}`,
    title: project.name,
    note: [text.pages.project, project.title].filter(Boolean).join(' · '),
    icon: 'project' as const,
    haystack: `${project.name} ${project.title ?? ''}`.toLowerCase(),
  })),
  ...navigationPages
    .filter((page) => !page.permission || can(page.permission))
    .map((page) => ({
      href: page.path,
      title: page.title,
      note: text.search.page,
      icon: page.icon ?? ('list' as const),
      haystack: page.title.toLowerCase(),
    })),
  ...(can('vm.create')
    ? [
        {
          href: '/vms/new',
          title: text.pages.create,
          note: text.search.action,
          icon: 'plus' as const,
          haystack: text.pages.create.toLowerCase(),
        },
      ]
    : []),
]);

export function Search({ onClose }: { readonly onClose: () => void }) {
  const query = useSignal('');
  const chosen = useSignal(0);
  useEffect(() => {
    vms.ensure();
    if (can('image.read')) images.ensure();
    if (can('access.read')) users.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const found = useMemo(
    () =>
      computed(() => {
        const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
        const fitting = hits.value.filter((hit) => words.every((word) => hit.haystack.includes(word)));
        const first = words[0] ?? '';
        return fitting
          .toSorted(
            (a, b) => Number(b.title.toLowerCase().startsWith(first)) - Number(a.title.toLowerCase().startsWith(first)),
          )
          .slice(0, MOST_HITS);
      }),
    [query],
  );
  const open = (hit: Hit | undefined) => {
    if (!hit) return;
    onClose();
    navigate(hit.href);
  };
  const list = found.value;
  // Who types faster than the list of VMs comes is not told that there is nothing, and Enter waits for it.
  const isWaiting = list.length === 0 && vms.data.value === null && vms.problem.value === null;
  const isEntered = useSignal(false);
  useEffect(() => {
    if (!isEntered.peek() || isWaiting) return;
    isEntered.value = false;
    open(list[0]);
  });
  const at = Math.min(chosen.value, Math.max(0, list.length - 1));
  const enter = () => {
    if (isWaiting) isEntered.value = true;
    else open(list[at]);
  };
  return (
    <Dialog title={text.search.title} onClose={onClose} onSubmit={enter}>
      <input
        type="text"
        class="search-input"
        role="combobox"
        aria-label={text.search.placeholder}
        aria-expanded="true"
        aria-controls="search-hits"
        aria-activedescendant={list.length > 0 ? `hit-${at}` : undefined}
        placeholder={text.search.placeholder}
        autocomplete="off"
        spellcheck={false}
        value={query.value}
        onInput={(event) => {
          query.value = event.currentTarget.value;
          isEntered.value = false;
          chosen.value = 0;
        }}
        onKeyDown={(event) => {
          const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
          if (step === 0) return;
          event.preventDefault();
          chosen.value = (at + step + list.length) % Math.max(1, list.length);
        }}
      />
      <div id="search-hits" class="hits" role="listbox" aria-label={text.search.title}>
        {list.map((hit, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keyboard and moves through the list
          <div
            key={hit.href + hit.title}
            id={`hit-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            class={`hit ${index === at ? 'is-chosen' : ''}`}
            onClick={() => open(hit)}
            onMouseMove={() => (chosen.value = index)}
          >
            <Icon name={hit.icon} />
            <span class="hit-title">{hit.title}</span>
            {hit.state && <Glyph tone={vmTone(hit.state)[0]} shape={vmTone(hit.state)[1]} />}
            <span class="hit-note muted">{hit.note}</span>
          </div>
        ))}
      </div>
      {list.length === 0 && !isWaiting && <p class="muted hits-none">{text.search.nothing(query.value)}</p>}
    </Dialog>
  );
}
