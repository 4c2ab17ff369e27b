/** The side bar of wide screens and the bottom bar of narrow ones; both are drawn from the list of pages. */

import { useSignal } from '@preact/signals';
import { navigationPages, type Page } from '../../routes.ts';
import { firingAlerts } from '../../state/alerts.ts';
import { can } from '../../state/api.ts';
import { openOperations } from '../../state/operations.ts';
import { currentPath } from '../../state/router.ts';
import { text } from '../../text.ts';
import { Dialog } from '../dialog.tsx';
import { Icon, Logo } from '../icon.tsx';

const BOTTOM_ENTRIES = 4;

function isCurrent(page: Page, path: string): boolean {
  return page.path === '/' ? path === '/' : path === page.path || path.startsWith(`${page.path}/`);
}

function visiblePages(): readonly Page[] {
  return navigationPages.filter((page) => !page.permission || can(page.permission));
}

export function SideBar() {
  return (
    <aside class="side">
      <a class="brand" href="/" aria-label={text.frame.home}>
        <Logo />
        <span>{text.product}</span>
      </a>
      <nav aria-label={text.frame.navigation}>
        {visiblePages().map((page) => (
          <NavLink key={page.path} page={page} />
        ))}
      </nav>
    </aside>
  );
}

/** What stands beside a page, by its path. */
const COUNTS: Readonly<Record<string, () => number>> = {
  '/operations': () => openOperations.value.length,
  '/alerts': () => firingAlerts.value.length,
};

function NavLink({ page, onClick }: { readonly page: Page; readonly onClick?: () => void }) {
  const count = COUNTS[page.path]?.() ?? 0;
  return (
    <a
      class={`nav-link ${page.startsGroup ? 'starts-group' : ''}`}
      href={page.path}
      aria-current={isCurrent(page, currentPath.value) ? 'page' : undefined}
      title={page.letter && text.frame.shortcut(page.letter)}
      onClick={onClick}
    >
      {page.icon && <Icon name={page.icon} />}
      <span>{page.title}</span>
      {count > 0 && <span class="count">{count}</span>}
    </a>
  );
}

export function BottomBar() {
  const isMoreOpen = useSignal(false);
  const pages = visiblePages();
  const path = currentPath.value;
  const rest = pages.slice(BOTTOM_ENTRIES);
  return (
    <nav class="bottom" aria-label={text.frame.navigation}>
      {pages.slice(0, BOTTOM_ENTRIES).map((page) => (
        <a key={page.path} href={page.path} aria-current={isCurrent(page, path) ? 'page' : undefined}>
          {page.icon && <Icon name={page.icon} size={20} />}
          <span>{page.title}</span>
        </a>
      ))}
      <button
        type="button"
        class={rest.some((page) => isCurrent(page, path)) ? 'is-current' : ''}
        aria-haspopup="dialog"
        onClick={() => (isMoreOpen.value = true)}
      >
        <Icon name="list" size={20} />
        <span>{text.frame.more}</span>
      </button>
      {isMoreOpen.value && (
        <Dialog title={text.frame.more} onClose={() => (isMoreOpen.value = false)}>
          <div class="more-links">
            {rest.map((page) => (
              <NavLink key={page.path} page={page} onClick={() => (isMoreOpen.value = false)} />
            ))}
          </div>
        </Dialog>
      )}
    </nav>
  );
}
