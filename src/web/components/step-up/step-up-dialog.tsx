/** Asks for a fresh proof when a request needs one; the request is sent again when it was given. */

import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { hasUsablePasskey } from '../../state/passkeys.ts';
import { type ProofWanted, proofWanted } from '../../state/step-up.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { Dialog } from '../dialog.tsx';
import { Choice } from '../form.tsx';
import { PROOF_METHODS } from './proof-methods.ts';

const words = text.stepUp;

export function StepUpDialog() {
  const wanted = proofWanted.value;
  /** What was chosen by hand stays for the next time. */
  const chosen = useSignal<string | null>(null);
  if (!wanted) return null;
  return <ProofDialog key={wanted.digest} wanted={wanted} chosen={chosen} />;
}

function ProofDialog({ wanted, chosen }: { readonly wanted: ProofWanted; readonly chosen: Signal<string | null> }) {
  /** The best way that works here; null until it is known, so that no code is asked for in vain. */
  const best = useSignal<string | null>(null);
  useEffect(() => {
    void hasUsablePasskey().then((isUsable) => (best.value = isUsable ? 'passkey' : 'code'));
  }, [best]);
  const current = chosen.value ?? best.value;
  const method = PROOF_METHODS.find(({ id }) => id === current);
  const refuse = () => wanted.settle(false);
  return (
    <Dialog title={words.title} onClose={refuse} foot={<Button onClick={refuse}>{text.actions.cancel}</Button>}>
      <p>{words.why}</p>
      <p>
        <strong>{wanted.action}</strong>
      </p>
      <Choice
        label={words.title}
        value={current ?? ''}
        options={PROOF_METHODS.map(({ id, label }) => ({ value: id, label }))}
        onChange={(id) => (chosen.value = id)}
      />
      {method && <method.Component digest={wanted.digest} onProven={() => wanted.settle(true)} />}
    </Dialog>
  );
}
