/** A browser in front of a real daemon with a real libvirtd and the hello guest running: what the end-to-end tests look at.
 *  Not for production: Chromium runs inside the libvirtd's network namespace, because that is where the daemon listens. */

import { access, chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { MIB } from '#kernel/units.ts';
import { run } from '#platform/process.ts';
import { buildBundle } from '../support/bundle.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Pictures are made for those who ask: `HV_SCREENSHOTS=FOLDER` has all of them, `HV_SCREENSHOTS=docs/img` renews those that the documentation
 *  shows. */
const FOLDER = process.env['HV_SCREENSHOTS'];
const DOCS = 'docs/img';
const FOR_DOCS: ReadonlySet<string> = new Set([
  'overview-dark',
  'overview-light',
  'overview-phone',
  'vms-dark',
  'vms-light',
  'vms-phone',
  'vm-dark',
  'console-screen',
  'console-serial',
  'create-plan',
  'catalogue-light',
  'hosts-dark',
  'audit-light',
  'edit-light',
  'sign-in',
  'step-up',
  'access-user-light',
  'access-project-dark',
  'access-sign-in-methods-dark',
  'alerts-one-dark',
  'alerts-rule-light',
  'graphs-vm-dark',
  'graphs-marks-dark',
  'health-dark',
  'healing-acts-dark',
  'backups-protection-dark',
  'backups-proof-dark',
  'backups-schedules-light',
  'backups-copies-light',
  'backups-host-dark',
]);

export interface Dashboard {
  readonly daemon: TestDaemon;
  readonly libvirtd: PrivateLibvirtd;
  readonly browser: Browser;
  /** Id of the running hello guest. */
  readonly helloId: string;
  /** What the pages should never do: dialogs, uncaught errors, breaches of the content security policy. */
  readonly complaints: string[];
  /** A window that is not signed in. */
  open(options?: BrowserContextOptions): Promise<{ context: BrowserContext; page: Page }>;
  /** A window that is signed in and shows the overview. */
  signIn(options?: BrowserContextOptions): Promise<Page>;
  /** A fresh one-time link. */
  link(): Promise<string>;
  screenshot(page: Page, name: string): Promise<void>;
  close(): Promise<void>;
}

/** @param config what the configuration file of the daemon says beside the usual */
export async function startDashboard(config: Readonly<Record<string, unknown>> = {}): Promise<Dashboard> {
  await buildBundle();
  const disk = await helloDisk();
  const libvirtd = await startPrivateLibvirtd();
  const stack = new AsyncDisposableStack();
  stack.defer(() => libvirtd.close());
  try {
    const daemon = await startDaemon({ libvirtd, config });
    stack.defer(() => daemon.close());
    await daemon.finish(await daemon.admin('POST /images/import', { body: { path: disk, name: 'hello' } }));
    const created = await daemon.finish(
      await daemon.admin('POST /vms', {
        body: {
          name: 'hello',
          title: 'A small real Linux',
          firmware: 'bios',
          accel: 'tcg',
          memoryBytes: 256 * MIB,
          vcpus: 1,
          disks: [{ imageId: 'hello' }],
        },
      }),
    );
    const browser = await startBrowser(libvirtd);
    stack.defer(() => browser.close());
    const complaints: string[] = [];
    const link = async () => (await daemon.admin('POST /auth/links', { body: { user: 'admin' } })).url;
    const open = async (options: BrowserContextOptions = {}) => {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        colorScheme: 'dark',
        // The authority was made a minute ago; that it is the right one is tested with the daemon.
        ignoreHTTPSErrors: true,
        ...options,
      });
      context.setDefaultTimeout(30_000);
      await context.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (event) =>
          console.error(`CSP ${event.violatedDirective} ${event.sourceFile}:${event.lineNumber}`),
        );
      });
      const page = await context.newPage();
      page.on('console', (message) => {
        if (message.text().startsWith('CSP ')) complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
      page.on('dialog', (dialog) => {
        complaints.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      return { context, page };
    };
    return {
      daemon,
      libvirtd,
      browser,
      helloId: created.objectId ?? '',
      complaints,
      link,
      open,
      async signIn(options) {
        const { page } = await open(options);
        await page.goto(await link());
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.getByRole('heading', { name: 'Overview' }).waitFor();
        return page;
      },
      async screenshot(page, name) {
        if (FOLDER === undefined) return;
        const isForDocs = FOLDER === DOCS;
        if (isForDocs && !FOR_DOCS.has(name)) return;
        const folder = resolve(ROOT, FOLDER);
        await mkdir(folder, { recursive: true });
        // In the documentation dark is what one sees unless told otherwise.
        await page.screenshot({ path: join(folder, `${isForDocs ? name.replace(/-dark$/, '') : name}.png`) });
      },
      close: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

const CHROMIUM = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A browser of this machine's own network, for a daemon that needs no libvirt. */
export async function startPlainBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), args: CHROMIUM });
}

async function startBrowser(libvirtd: PrivateLibvirtd): Promise<Browser> {
  const program = await findChromium();
  // Only the network is shared with the libvirtd: the browser wants the /proc of its own processes.
  const pid = libvirtd.enter(['true'])[2] ?? '';
  const wrapper = join(libvirtd.dir, 'chromium');
  await writeFile(wrapper, `#!/bin/sh\nexec nsenter -t '${pid}' -n -- '${program}' "$@"\n`);
  await chmod(wrapper, 0o755);
  return chromium.launch({
    executablePath: wrapper,
    args: CHROMIUM,
  });
}

async function findChromium(): Promise<string> {
  for (const name of ['chromium', 'google-chrome', 'chromium-browser']) {
    const { code, stdout } = await run(['sh', '-c', 'command -v -- "$1"', 'sh', name], { timeoutMs: 10_000 });
    const path = stdout.trim();
    if (code !== 0) continue;
    await access(path);
    return path;
  }
  throw new Error('no Chromium is installed');
}
