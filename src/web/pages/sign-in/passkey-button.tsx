/** Sign-in by passkey; where it cannot work, the reason and the way to where it does. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { IdentityView } from '#contract/access.ts';
import type { Problem } from '#contract/common.ts';
import { Button } from '../../components/button.tsx';
import { PasskeyPlaceNote } from '../../components/passkey-place-note.tsx';
import { problemOf } from '../../state/api.ts';
import { PasskeyDismissed, passkeyObstacle, passkeyPlace, signInByPasskey } from '../../state/passkeys.ts';
import { text } from '../../text.ts';

const words = text.passkeys;

export function PasskeyButton({
  onSignedIn,
  onProblem,
}: {
  readonly onSignedIn: (identity: IdentityView) => void;
  readonly onProblem: (problem: Problem | null) => void;
}) {
  const isBusy = useSignal(false);
  useEffect(() => {
    // Without the answer there is simply no button; the other ways to sign in remain.
    void passkeyPlace.reload();
  }, []);
  const place = passkeyPlace.data.value;
  if (!place) return null;
  if (passkeyObstacle(place.rpId)) return <PasskeyPlaceNote place={place} />;
  const signIn = async () => {
    isBusy.value = true;
    onProblem(null);
    try {
      onSignedIn(await signInByPasskey());
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) onProblem(problemOf(error));
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Button class="large" icon="key" isBusy={isBusy.value} onClick={() => void signIn()}>
      {words.signIn}
    </Button>
  );
}
