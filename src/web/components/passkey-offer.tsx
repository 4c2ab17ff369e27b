/** After a sign-in by link: offers to make a passkey, so that the next sign-in needs no link. Asked once in each browser. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import { problemOf, session } from '../state/api.ts';
import { readSetting, writeSetting } from '../state/browser-settings.ts';
import { addPasskey, PasskeyDismissed, passkeyObstacle, passkeyPlace, passkeys } from '../state/passkeys.ts';
import { text } from '../text.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { ProblemBox } from './problem-box.tsx';

const words = text.passkeys;
const ASKED = 'passkey-offered';

async function isWanted(): Promise<boolean> {
  const state = session.peek();
  if (state.kind !== 'signed_in' || state.identity.method !== 'link' || readSetting(ASKED) !== null) return false;
  await Promise.all([passkeyPlace.reload(), passkeys.reload()]);
  const place = passkeyPlace.data.peek();
  return place !== null && passkeyObstacle(place.rpId) === null && passkeys.data.peek()?.length === 0;
}

export function PasskeyOffer() {
  const isOpen = useSignal(false);
  const isBusy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  useEffect(() => {
    void isWanted().then((wanted) => {
      isOpen.value = wanted;
    });
  }, [isOpen]);
  if (!isOpen.value) return null;
  const close = () => {
    writeSetting(ASKED, 'yes');
    isOpen.value = false;
  };
  const add = async () => {
    isBusy.value = true;
    problem.value = null;
    try {
      await addPasskey(words.firstName);
      close();
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) problem.value = problemOf(error);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog
      title={words.offer}
      onClose={close}
      onSubmit={() => void add()}
      foot={
        <>
          <Button onClick={close}>{words.notNow}</Button>
          <Button type="submit" kind="primary" icon="key" isBusy={isBusy.value}>
            {words.add}
          </Button>
        </>
      }
    >
      <p>{words.offerNote}</p>
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
    </Dialog>
  );
}
