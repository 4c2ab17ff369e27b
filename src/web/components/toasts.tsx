/** The corner where results are told. */

import { currentPath } from '../state/router.ts';
import { dismissToast, type Toast, toasts } from '../state/toasts.ts';
import { text } from '../text.ts';
import { Button, IconButton } from './button.tsx';
import { Prose } from './prose.tsx';
import { Glyph } from './state-mark.tsx';

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <ToastBox key={toast.id} toast={toast} links={(toast.links ?? []).filter(({ href }) => !isHere(href))} />
      ))}
    </div>
  );
}

/** The page that is open, or one of its tabs. */
function isHere(href: string): boolean {
  return currentPath.value === href || currentPath.value.startsWith(`${href}/`);
}

function ToastBox({ toast, links }: { readonly toast: Toast; readonly links: NonNullable<Toast['links']> }) {
  return (
    <div class={`toast ${toast.kind}`}>
      <Glyph
        tone={toast.kind === 'info' ? 'unknown' : toast.kind}
        shape={toast.kind === 'bad' ? 'square' : toast.kind === 'good' ? 'dot' : 'ring'}
      />
      <div class="toast-body">
        <p class="toast-title">{toast.title}</p>
        {toast.detail && <p class="muted">{toast.detail}</p>}
        {toast.problem?.hint && (
          <p class="muted">
            <Prose value={toast.problem.hint} />
          </p>
        )}
        {toast.problem && (
          <p class="muted small">
            <code>{toast.problem.code}</code> {toast.problem.requestId && <code>{toast.problem.requestId}</code>}
          </p>
        )}
        {(links.length > 0 || toast.action) && (
          <p class="toast-links">
            {toast.action && (
              <Button
                isSmall
                onClick={() => {
                  dismissToast(toast.id);
                  toast.action?.run();
                }}
              >
                {toast.action.label}
              </Button>
            )}
            {links.map((link) => (
              <a key={link.href} href={link.href} onClick={() => dismissToast(toast.id)}>
                {link.label}
              </a>
            ))}
          </p>
        )}
      </div>
      <IconButton icon="close" label={text.actions.dismiss} onClick={() => dismissToast(toast.id)} />
    </div>
  );
}
