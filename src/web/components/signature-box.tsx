/** A challenge to sign by hand: the exact command for a terminal, and a box for what it prints. */

import { useSignal } from '@preact/signals';
import type { ChallengeView } from '#contract/sign-in.ts';
import { text } from '../text.ts';
import { Button } from './button.tsx';
import { CopyButton } from './copy-button.tsx';
import { Field } from './form.tsx';

const words = text.signature;
const NAMESPACE = 'login@hyper-nixos';
const ARMOUR = /-----BEGIN SSH SIGNATURE-----[A-Za-z0-9+/=\s]+-----END SSH SIGNATURE-----/;

/** For a shell: what stands in single quotes is taken as it is, and a challenge holds none. */
function commandFor(challenge: string): string | null {
  return challenge.includes("'")
    ? null
    : `printf %s '${challenge}' | ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n ${NAMESPACE}`;
}

/** The signature in what was pasted, each line as ssh-keygen wrote it; null when it is not whole. */
export function signatureIn(pasted: string): string | null {
  const found = ARMOUR.exec(pasted)?.[0];
  if (!found) return null;
  const lines = found.split(/\r?\n/).map((line) => line.trim());
  return `${lines.filter(Boolean).join('\n')}\n`;
}

export function SignatureBox({
  challenge,
  action,
  isBusy,
  onSignature,
  onAgain,
}: {
  readonly challenge: ChallengeView;
  readonly action: string;
  readonly isBusy: boolean;
  readonly onSignature: (signature: string) => void;
  /** Wants another challenge. */
  readonly onAgain: () => void;
}) {
  const pasted = useSignal('');
  const command = commandFor(challenge.text);
  const signature = signatureIn(pasted.value);
  return (
    <>
      <p class="muted">{words.run}</p>
      {command !== null && (
        <p class="command tall">
          <code>{command}</code>
          <CopyButton value={command} />
        </p>
      )}
      <Field
        label={words.paste}
        hint={words.ends}
        problem={pasted.value.trim() !== '' && signature === null ? words.noSignature : null}
      >
        {(field) => (
          <textarea
            {...field}
            class="mono"
            rows={5}
            autocomplete="off"
            spellcheck={false}
            value={pasted.value}
            onInput={(event) => (pasted.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <div class="row">
        <Button
          kind="primary"
          isBusy={isBusy}
          disabled={signature === null}
          onClick={() => signature !== null && onSignature(signature)}
        >
          {action}
        </Button>
        <Button kind="quiet" onClick={onAgain}>
          {words.again}
        </Button>
      </div>
    </>
  );
}
