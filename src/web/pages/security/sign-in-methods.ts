/** The ways to sign in that the page lists, one line each. */

import { oidcProviders } from '../../state/library.ts';
import { passkeyPlace } from '../../state/passkeys.ts';
import { text } from '../../text.ts';

const words = text.access.signIn;

export interface SignInMethod {
  readonly id: string;
  readonly name: string;
  readonly isOn: boolean;
  /** Commands between backticks. */
  readonly how: string;
}

/** Reads signals. What is not known yet is left out rather than told as off. */
export function signInMethods(): readonly SignInMethod[] {
  const place = passkeyPlace.data.value;
  const providers = oidcProviders.data.value;
  const off = { id: 'oidc', name: words.oidc, isOn: false, how: words.oidcOff };
  return [
    { id: 'link', name: words.link, isOn: true, how: words.linkHow },
    { id: 'ssh', name: words.ssh, isOn: true, how: words.sshHow },
    ...(place ? [{ id: 'passkey', name: words.passkey, isOn: true, how: words.passkeyHow(place.openAt) }] : []),
    ...(providers?.map(({ id, name }) => ({ id: `oidc ${id}`, name, isOn: true, how: words.oidcHow })) ?? []),
    ...(providers?.length === 0 ? [off] : []),
    { id: 'token', name: words.token, isOn: true, how: words.tokenHow },
    { id: 'socket', name: words.socket, isOn: true, how: words.socketHow },
  ];
}
