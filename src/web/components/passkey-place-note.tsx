/** Says why passkeys do not work in this window, and what to do. */

import type { PasskeyPlace } from '#contract/passkeys.ts';
import { passkeyObstacle } from '../state/passkeys.ts';
import { text } from '../text.ts';
import { Prose } from './prose.tsx';

export function PasskeyPlaceNote({ place }: { readonly place: PasskeyPlace }) {
  const words = text.passkeys;
  if (passkeyObstacle(place.rpId) === 'browser') return <p class="muted small">{words.noBrowser}</p>;
  return (
    <p class="muted small">
      {words.needsName} <a href={place.openAt}>{place.openAt}</a>. <Prose value={words.needsNameMend} />
    </p>
  );
}
