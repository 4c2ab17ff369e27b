/** Chooses what fills the window: sign-in, waiting, or the frame with the page of the address. */

import { computed, effect, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import { Frame } from './components/frame/frame.tsx';
import { EmptyState, Skeleton } from './components/page.tsx';
import { PasskeyOffer } from './components/passkey-offer.tsx';
import { ProblemBox } from './components/problem-box.tsx';
import { StepUpDialog } from './components/step-up/step-up-dialog.tsx';
import { SignInPage } from './pages/sign-in/sign-in-page.tsx';
import { navigationPages, type Page, type PageComponent, routes } from './routes.ts';
import { can, isDaemonThere, loadSession, problemOf, session, Unreachable } from './state/api.ts';
import { readSetting, writeSetting } from './state/browser-settings.ts';
import { followEvents, live, onReset } from './state/live.ts';
import { currentPath, matchPath, navigate } from './state/router.ts';
import { startShortcuts } from './state/shortcuts.ts';
import { text } from './text.ts';

const SIGN_IN_PATH = '/sign-in';
const SETTINGS_PATH = '/settings';

/** A sign-in link, or the answer of an identity provider. */
function isArriving(): boolean {
  const path = currentPath.peek();
  return (path === SIGN_IN_PATH && window.location.hash.length > 1) || path.startsWith(`${SIGN_IN_PATH}/`);
}

interface Match {
  readonly page: Page;
  readonly params: Readonly<Record<string, string>>;
}

const match = computed<Match | null>(() => {
  for (const page of routes) {
    const params = matchPath(page.path, currentPath.value);
    if (params) return { page, params };
  }
  return null;
});

const loaded = signal<ReadonlyMap<string, PageComponent>>(new Map());
const loadProblem = signal<Problem | null>(null);

async function loadPage(page: Page): Promise<void> {
  if (loaded.peek().has(page.path)) return;
  try {
    const component = await page.load();
    loaded.value = new Map(loaded.peek()).set(page.path, component);
    loadProblem.value = null;
  } catch (error) {
    // A reload now would leave the user with the browser's own error page.
    if (!(await isDaemonThere())) {
      loadProblem.value = problemOf(new Unreachable(error));
      return;
    }
    // After an update of the daemon the old files are gone; a reload brings the new ones.
    if (isFirstReloadLately()) {
      window.location.reload();
      return;
    }
    loadProblem.value = { ...problemOf(error), ...text.errors.page };
  }
}

function retryPage(): void {
  const page = match.peek()?.page;
  if (page && loadProblem.peek()?.code === 'unreachable') void loadPage(page);
  else window.location.reload();
}

const RELOAD_PAUSE_MS = 60_000;

/** True at most once a minute: a page that cannot be loaded at all must not reload for ever. */
function isFirstReloadLately(): boolean {
  if (Date.now() - Number(readSetting('reloaded-at') ?? 0) < RELOAD_PAUSE_MS) return false;
  writeSetting('reloaded-at', String(Date.now()));
  // Where nothing can be kept, nothing would stop the next reload.
  return readSetting('reloaded-at') !== null;
}

effect(() => {
  if (match.value && session.value.kind === 'signed_in') void loadPage(match.value.page);
});

// What could not be loaded while the daemon was away comes when it is back.
effect(() => {
  if (live.value.kind === 'open' && loadProblem.peek()?.code === 'unreachable') retryPage();
});

const startProblem = signal<Problem | null>(null);

async function start(): Promise<void> {
  startProblem.value = null;
  try {
    await loadSession();
  } catch (error) {
    if (session.peek().kind === 'unknown') startProblem.value = problemOf(error);
  }
}

export function App() {
  useEffect(() => {
    // It may belong to somebody else than the session that is still open.
    if (isArriving()) session.value = { kind: 'signed_out' };
    else void start();
  }, []);
  if (session.value.kind === 'signed_out') return <SignInPage />;
  if (session.value.kind === 'unknown')
    return startProblem.value ? (
      <div class="alone">
        <ProblemBox problem={startProblem.value} onRetry={() => void start()} />
      </div>
    ) : (
      <div class="alone">
        <Skeleton lines={3} />
      </div>
    );
  return <SignedIn />;
}

function SignedIn() {
  useEffect(() => {
    const stop = new AbortController();
    void followEvents(stop.signal);
    // A reset also says that rights are others than before: what is offered follows.
    const stopResets = onReset(() => void loadSession().catch(() => null));
    if (currentPath.peek() === SIGN_IN_PATH) navigate('/', { replace: true });
    const letters = new Map(
      navigationPages.flatMap((page) => (page.letter ? [[page.letter, page.path] as const] : [])),
    );
    const stopKeys = startShortcuts(letters, navigate);
    // The other pages come while nothing else is to do, so that each opens at once.
    const idle = window.setTimeout(() => {
      for (const page of routes) void page.load().catch(() => null);
    }, 3000);
    return () => {
      stop.abort();
      stopKeys();
      stopResets();
      window.clearTimeout(idle);
    };
  }, []);
  const found = match.value;
  const page = <Outlet found={found} />;
  return (
    <>
      {found?.page.isBare ? page : <Frame>{page}</Frame>}
      {!found?.page.isBare && <PasskeyOffer />}
      <StepUpDialog />
    </>
  );
}

/** Nobody has granted anything to the signed-in user. */
function isPowerless(): boolean {
  const state = session.value;
  return state.kind === 'signed_in' && state.identity.anywhere.every((permission) => permission === 'self.manage');
}

function Outlet({ found }: { readonly found: Match | null }) {
  if (!found)
    return (
      <EmptyState icon="search" title={text.errors.noPage.title} action={<a href="/">{text.errors.noPage.home}</a>}>
        {text.errors.noPage.detail}
      </EmptyState>
    );
  if (isPowerless() && !found.page.path.startsWith(SETTINGS_PATH))
    return (
      <EmptyState
        icon="lock"
        title={text.errors.powerless.title}
        action={<a href={`${SETTINGS_PATH}/security`}>{text.errors.powerless.account}</a>}
      >
        {text.errors.powerless.detail}
      </EmptyState>
    );
  if (found.page.permission && !can(found.page.permission))
    return (
      <EmptyState icon="lock" title={text.errors.noPermission.title}>
        {text.errors.noPermission.detail(found.page.permission)}
      </EmptyState>
    );
  const Component = loaded.value.get(found.page.path);
  if (Component) return <Component params={found.params} />;
  return loadProblem.value ? <ProblemBox problem={loadProblem.value} onRetry={retryPage} /> : <Skeleton />;
}
