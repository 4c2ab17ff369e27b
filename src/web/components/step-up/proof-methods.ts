/** The ways to give a fresh proof, best first; each is a component that calls `onProven` when the server has the proof. */

import type { ComponentType } from 'preact';
import { text } from '../../text.ts';
import { CodeProof } from './code-proof.tsx';
import { PasskeyProof } from './passkey-proof.tsx';
import { SignatureProof } from './signature-proof.tsx';

export interface ProofProps {
  readonly digest: string;
  readonly onProven: () => void;
}

export interface ProofMethod {
  readonly id: string;
  readonly label: string;
  readonly Component: ComponentType<ProofProps>;
}

export const PROOF_METHODS: readonly ProofMethod[] = [
  { id: 'passkey', label: text.passkeys.proof, Component: PasskeyProof },
  { id: 'code', label: text.stepUp.code, Component: CodeProof },
  { id: 'signature', label: text.stepUp.paste, Component: SignatureProof },
];
