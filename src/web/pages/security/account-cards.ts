/** Cards of "My account" for ways to sign in: keys, passkeys. One line each, in the order in which they are shown. */

import type { FunctionComponent } from 'preact';
import { PasskeysCard } from '../settings/passkeys-card.tsx';
import { OwnKeysCard } from './keys-card.tsx';

export const ACCOUNT_CARDS: readonly FunctionComponent[] = [OwnKeysCard, PasskeysCard];
