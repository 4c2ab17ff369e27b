/** A fresh proof by a code that is confirmed in a terminal. */

import { api } from '../../state/api.ts';
import { text } from '../../text.ts';
import { DeviceCode } from '../device-code.tsx';
import type { ProofProps } from './proof-methods.ts';

const words = text.stepUp;

export function CodeProof({ digest, onProven }: ProofProps) {
  return (
    <DeviceCode
      how={words.how}
      here={words.here}
      waiting={words.waiting}
      start={() => api('POST /auth/step-up/device', { body: { digest } })}
      onDone={onProven}
    />
  );
}
