/** What happens in the browser once somebody is signed in, by whichever way. */

import type { IdentityView } from '#contract/access.ts';
import { session, wasSignedIn } from '../../state/api.ts';
import { currentPath, navigate } from '../../state/router.ts';

const isSignInPath = (path: string): boolean => path === '/sign-in' || path.startsWith('/sign-in/');

export function enter(identity: IdentityView): void {
  const isHere = isSignInPath(currentPath.peek());
  // Whoever signs in now may see other things: nothing of the former session stays in memory.
  if (wasSignedIn()) {
    window.location.replace(isHere ? '/' : window.location.href);
    return;
  }
  if (isHere) navigate('/', { replace: true });
  session.value = { kind: 'signed_in', identity };
}
