/** What lies over a console while it is not connected: why, and when the next attempt is made. */

import type { ReadonlySignal } from '@preact/signals';
import { text } from '../../text.ts';
import { Button, Spinner } from '../button.tsx';
import { ProblemBox } from '../problem-box.tsx';
import type { LinkState } from './console-link.ts';

export function LinkCover({
  state,
  onRetry,
}: {
  readonly state: ReadonlySignal<LinkState>;
  readonly onRetry: () => void;
}) {
  const link = state.value;
  if (link.kind === 'open') return null;
  return (
    <div class="console-cover" role="status">
      {link.kind === 'refused' ? (
        <ProblemBox problem={link.problem} onRetry={onRetry} isCompact />
      ) : (
        <p>
          <Spinner /> {link.kind === 'connecting' ? text.console.connecting : text.console.waiting}
        </p>
      )}
      {link.kind === 'waiting' && link.problem && <p class="muted small">{link.problem.detail}</p>}
      {link.kind === 'waiting' && (
        <Button isSmall onClick={onRetry}>
          {text.console.retryNow}
        </Button>
      )}
    </div>
  );
}
