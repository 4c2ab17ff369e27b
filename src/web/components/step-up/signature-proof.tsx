/** A fresh proof by a signature that is made by hand and pasted. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { ChallengeView } from '#contract/sign-in.ts';
import { api, problemOf } from '../../state/api.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { ProblemBox } from '../problem-box.tsx';
import { SignatureBox } from '../signature-box.tsx';
import type { ProofProps } from './proof-methods.ts';

export function SignatureProof({ digest, onProven }: ProofProps) {
  const challenge = useSignal<ChallengeView | null>(null);
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);
  const attempt = async (work: () => Promise<void>) => {
    isBusy.value = true;
    problem.value = null;
    try {
      await work();
    } catch (error) {
      challenge.value = null;
      problem.value = problemOf(error);
    } finally {
      isBusy.value = false;
    }
  };
  const begin = () =>
    attempt(async () => {
      challenge.value = await api('POST /auth/step-up/challenge', { body: { digest, by: 'person' } });
    });
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each request that is asked about
  useEffect(() => void begin(), [digest]);
  const send = (nonce: string, signature: string) =>
    attempt(async () => {
      await api('POST /auth/step-up/ssh', { body: { nonce, signature } });
      onProven();
    });
  return (
    <>
      {problem.value && (
        <>
          <ProblemBox problem={problem.value} isCompact />
          <Button onClick={() => void begin()}>{text.signature.again}</Button>
        </>
      )}
      {challenge.value && (
        <SignatureBox
          key={challenge.value.nonce}
          challenge={challenge.value}
          action={text.signature.confirm}
          isBusy={isBusy.value}
          onSignature={(signature) => void send(challenge.value?.nonce ?? '', signature)}
          onAgain={() => void begin()}
        />
      )}
    </>
  );
}
