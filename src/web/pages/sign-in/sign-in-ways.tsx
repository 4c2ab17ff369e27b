/** The ways to sign in besides the one that is shown; a new way is a line here and a component of its own. */

import { Button } from '../../components/button.tsx';
import { text } from '../../text.ts';

const words = text.signIn.ways;

export type SignInWay = 'link' | 'code' | 'paste';
const WAYS: readonly SignInWay[] = ['link', 'code', 'paste'];

export function SignInWays({
  current,
  onChoose,
}: {
  readonly current: SignInWay;
  readonly onChoose: (way: SignInWay) => void;
}) {
  return (
    <nav class="sign-in-ways" aria-label={words.title}>
      <h2>{words.title}</h2>
      <div class="row">
        {WAYS.filter((way) => way !== current).map((way) => (
          <Button key={way} onClick={() => onChoose(way)}>
            {words[way]}
          </Button>
        ))}
      </div>
    </nav>
  );
}
