/** Asks for a fresh proof when a request needs one; the request is sent again when it was given. */

import { useSignal } from '@preact/signals';
import { proofWanted } from '../../state/step-up.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { Dialog } from '../dialog.tsx';
import { Choice } from '../form.tsx';
import { PROOF_METHODS } from './proof-methods.ts';

const words = text.stepUp;

export function StepUpDialog() {
  const wanted = proofWanted.value;
  const chosen = useSignal(PROOF_METHODS[0]?.id ?? '');
  if (!wanted) return null;
  const method = PROOF_METHODS.find(({ id }) => id === chosen.value) ?? PROOF_METHODS[0];
  const refuse = () => wanted.settle(false);
  return (
    <Dialog
      key={wanted.digest}
      title={words.title}
      onClose={refuse}
      foot={<Button onClick={refuse}>{text.actions.cancel}</Button>}
    >
      <p>{words.why}</p>
      <p>
        <strong>{wanted.action}</strong>
      </p>
      <Choice
        label={words.title}
        value={chosen.value}
        options={PROOF_METHODS.map(({ id, label }) => ({ value: id, label }))}
        onChange={(id) => (chosen.value = id)}
      />
      {method && <method.Component digest={wanted.digest} onProven={() => wanted.settle(true)} />}
    </Dialog>
  );
}
