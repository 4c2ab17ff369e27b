/** The keys, and where to read more. */

import { navigationPages } from '../../routes.ts';
import { can } from '../../state/api.ts';
import { text } from '../../text.ts';
import { Dialog } from '../dialog.tsx';

export function Help({ onClose }: { readonly onClose: () => void }) {
  const pages = navigationPages.filter((page) => page.letter && (!page.permission || can(page.permission)));
  return (
    <Dialog title={text.help.title} onClose={onClose}>
      <div class="help-columns">
        <dl class="keys">
          {text.help.keys.map(([keys, meaning]) => (
            <div key={meaning}>
              <dt>
                {keys.map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        </dl>
        <dl class="keys">
          {pages.map((page) => (
            <div key={page.path}>
              <dt>
                <kbd>g</kbd>
                <kbd>{page.letter}</kbd>
              </dt>
              <dd>{page.title}</dd>
            </div>
          ))}
        </dl>
      </div>
      <p class="muted small">{text.help.more}</p>
    </Dialog>
  );
}
