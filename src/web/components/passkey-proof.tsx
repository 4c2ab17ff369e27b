/** The fresh proof by passkey, as one of the ways of the dialog that asks for it. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import { problemOf } from '../state/api.ts';
import { PasskeyDismissed, passkeyObstacle, passkeyPlace, passkeys, proveByPasskey } from '../state/passkeys.ts';
import { text } from '../text.ts';
import { Button } from './button.tsx';
import { PasskeyPlaceNote } from './passkey-place-note.tsx';

/** Shows nothing for a user without a passkey.
 *  @param digest as in the refusal `step_up_required`
 *  @param onDone the request may be sent again now */
export function PasskeyProof({
  digest,
  onDone,
  onProblem,
}: {
  readonly digest: string;
  readonly onDone: () => void;
  readonly onProblem: (problem: Problem | null) => void;
}) {
  const isBusy = useSignal(false);
  useEffect(() => {
    // Without an answer this way is not offered; the dialog has others.
    void Promise.all([passkeyPlace.reload(), passkeys.reload()]);
  }, []);
  const place = passkeyPlace.data.value;
  if (!place || !passkeys.data.value?.some(({ suspectedAt }) => suspectedAt === null)) return null;
  if (passkeyObstacle(place.rpId)) return <PasskeyPlaceNote place={place} />;
  const prove = async () => {
    isBusy.value = true;
    onProblem(null);
    try {
      await proveByPasskey(digest);
      onDone();
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) onProblem(problemOf(error));
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Button kind="primary" icon="key" isBusy={isBusy.value} onClick={() => void prove()}>
      {text.passkeys.prove}
    </Button>
  );
}
