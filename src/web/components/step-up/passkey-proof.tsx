/** The fresh proof by passkey, as one of the ways of the dialog that asks for it. */

import { useSignal } from '@preact/signals';
import type { Problem } from '#contract/common.ts';
import { problemOf } from '../../state/api.ts';
import { PasskeyDismissed, passkeyObstacle, passkeyPlace, passkeys, proveByPasskey } from '../../state/passkeys.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { PasskeyPlaceNote } from '../passkey-place-note.tsx';
import { ProblemBox } from '../problem-box.tsx';

/** @param digest as in the refusal `step_up_required`
 *  @param onProven the request may be sent again now */
export function PasskeyProof({ digest, onProven }: { readonly digest: string; readonly onProven: () => void }) {
  const isBusy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const place = passkeyPlace.data.value;
  if (!place || !passkeys.data.value) return null;
  if (!passkeys.data.value.some(({ suspectedAt }) => suspectedAt === null))
    return <p class="muted">{text.passkeys.none}</p>;
  if (passkeyObstacle(place.rpId)) return <PasskeyPlaceNote place={place} />;
  const prove = async () => {
    isBusy.value = true;
    problem.value = null;
    try {
      await proveByPasskey(digest);
      onProven();
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) problem.value = problemOf(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <>
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
      <Button kind="primary" icon="key" isBusy={isBusy.value} onClick={() => void prove()}>
        {text.passkeys.prove}
      </Button>
    </>
  );
}
