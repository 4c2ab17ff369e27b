/** What every page is built of: head, cards, tabs, empty states, and waiting without a flash. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { Resource } from '../state/collection.ts';
import { Icon, type IconName } from './icon.tsx';
import { ProblemBox } from './problem-box.tsx';

/** @param title plain text; it also names the browser tab */
export function PageHead({
  title,
  note,
  children,
}: {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly children?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · Hyper-NixOS`;
  }, [title]);
  return (
    <header class="page-head">
      <div class="page-title">
        <h1>{title}</h1>
        {note && <p class="muted">{note}</p>}
      </div>
      {children && <div class="page-actions">{children}</div>}
    </header>
  );
}

export function Card({
  title,
  aside,
  children,
  class: extra = '',
}: {
  readonly title?: ComponentChildren;
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
  readonly class?: string;
}) {
  return (
    <section class={`card ${extra}`}>
      {(title || aside) && (
        <header class="card-head">
          {title && <h2>{title}</h2>}
          {aside && <div class="card-aside">{aside}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

/** Nothing here yet: says why and offers the next step. */
export function EmptyState({
  icon,
  title,
  children,
  action,
}: {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
  readonly action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} size={28} />
      </span>
      <p class="empty-title">{title}</p>
      {children && <p class="muted">{children}</p>}
      {action && <div class="empty-action">{action}</div>}
    </div>
  );
}

/** Links in a row. Where they do not fit they scroll, and the end that hides some fades with an arrow. */
export function Tabs({
  label,
  tabs,
  current,
}: {
  readonly label: string;
  readonly tabs: readonly { readonly id: string; readonly label: ComponentChildren; readonly href: string }[];
  readonly current: string;
}) {
  const row = useRef<HTMLElement>(null);
  const hidden = useSignal<'' | 'before' | 'after' | 'both'>('');
  const look = () => {
    const { scrollLeft = 0, scrollWidth = 0, clientWidth = 0 } = row.current ?? {};
    const isBefore = scrollLeft > 2;
    const isAfter = scrollLeft + clientWidth < scrollWidth - 2;
    hidden.value = isBefore ? (isAfter ? 'both' : 'before') : isAfter ? 'after' : '';
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: another tab is what this waits for
  useLayoutEffect(() => {
    const open = row.current?.querySelector('[aria-current]');
    // Not scrollIntoView: that moves the page too.
    if (row.current && open instanceof HTMLElement)
      row.current.scrollLeft = open.offsetLeft - (row.current.clientWidth - open.offsetWidth) / 2;
    look();
    const sizes = new ResizeObserver(look);
    if (row.current) sizes.observe(row.current);
    return () => sizes.disconnect();
  }, [current]);
  return (
    <div class={`tabs-frame ${hidden.value && `hides-${hidden.value}`}`}>
      <nav ref={row} class="tabs" aria-label={label} onScroll={look}>
        {tabs.map((tab) => (
          <a key={tab.id} href={tab.href} aria-current={tab.id === current ? 'page' : undefined}>
            {tab.label}
          </a>
        ))}
      </nav>
    </div>
  );
}

/** Grey lines in the place of what is coming; they appear after 200 ms only. */
export function Skeleton({ lines = 4 }: { readonly lines?: number }) {
  const isShown = useSignal(false);
  useEffect(() => {
    const timer = window.setTimeout(() => {
      isShown.value = true;
    }, 200);
    return () => window.clearTimeout(timer);
  }, [isShown]);
  if (!isShown.value) return <div class="skeleton-space" />;
  return (
    <div class="skeleton" aria-hidden="true">
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}

/** Shows a resource when it is there, the failure when it is not, and grey lines in between. */
export function Loaded<Data>({
  resource,
  lines,
  children,
}: {
  readonly resource: Resource<Data>;
  readonly lines?: number;
  readonly children: (data: Data) => ComponentChildren;
}) {
  useEffect(() => resource.ensure(), [resource]);
  const data = resource.data.value;
  const problem: Problem | null = resource.problem.value;
  return (
    <>
      {problem && <ProblemBox problem={problem} onRetry={() => void resource.reload()} />}
      {data !== null ? children(data) : !problem && <Skeleton {...(lines === undefined ? {} : { lines })} />}
    </>
  );
}

/** Facts in two columns. */
export function Facts({ items }: { readonly items: readonly (readonly [ComponentChildren, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {items.map(([name, value], index) => (
        <div key={index}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
