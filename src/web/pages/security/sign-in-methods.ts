/** The ways to sign in that the page lists: one line each; cards are for those that can be set up. */

import type { FunctionComponent } from 'preact';
import { text } from '../../text.ts';

const words = text.access.signIn;

interface SignInMethod {
  readonly name: string;
  /** Commands between backticks. */
  readonly how: string;
}

export const SIGN_IN_METHODS: readonly SignInMethod[] = [
  { name: words.link, how: words.linkHow },
  { name: words.token, how: words.tokenHow },
  { name: words.socket, how: words.socketHow },
];

export const SIGN_IN_CARDS: readonly FunctionComponent[] = [];
