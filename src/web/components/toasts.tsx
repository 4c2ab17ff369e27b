/** The corner where results are told. */

import { dismissToast, toasts } from '../state/toasts.ts';
import { text } from '../text.ts';
import { Button, IconButton } from './button.tsx';
import { Prose } from './prose.tsx';
import { Glyph } from './state-mark.tsx';

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.kind}`}>
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
            {(toast.link || toast.action) && (
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
                {toast.link && (
                  <a href={toast.link.href} onClick={() => dismissToast(toast.id)}>
                    {toast.link.label}
                  </a>
                )}
              </p>
            )}
          </div>
          <IconButton icon="close" label={text.actions.dismiss} onClick={() => dismissToast(toast.id)} />
        </div>
      ))}
    </div>
  );
}
