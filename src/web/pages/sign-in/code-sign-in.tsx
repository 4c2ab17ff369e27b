/** Sign-in with the code that `hv login --web` confirms. */

import type { IdentityView } from '#contract/access.ts';
import { DeviceCode } from '../../components/device-code.tsx';
import { api } from '../../state/api.ts';
import { text } from '../../text.ts';

const words = text.signIn.code;

export function CodeSignIn({ onSignedIn }: { readonly onSignedIn: (identity: IdentityView) => void }) {
  return (
    <div class="sign-in-way">
      <h1>{words.title}</h1>
      <DeviceCode
        how={words.how}
        here={words.here}
        waiting={words.waiting}
        start={() => api('POST /auth/device', { body: {} })}
        onDone={(identity) => identity && onSignedIn(identity)}
      />
    </div>
  );
}
