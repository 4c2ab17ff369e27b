/** A code to confirm elsewhere: shows the code and the command, and asks every two seconds whether it was confirmed. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { IdentityView } from '#contract/access.ts';
import type { Problem } from '#contract/common.ts';
import type { DeviceView } from '#contract/sign-in.ts';
import { api, problemOf } from '../state/api.ts';
import { text } from '../text.ts';
import { Button, Spinner } from './button.tsx';
import { CopyButton } from './copy-button.tsx';
import { ProblemBox } from './problem-box.tsx';
import { Prose } from './prose.tsx';

const words = text.signIn.code;

interface DeviceCodeProps {
  readonly how: string;
  readonly here: (code: string) => string;
  readonly waiting: string;
  readonly start: () => Promise<DeviceView>;
  /** Who is signed in now; null after a proof. */
  readonly onDone: (identity: IdentityView | null) => void;
}

export function DeviceCode({ how, here, waiting, start, onDone }: DeviceCodeProps) {
  const flow = useSignal<DeviceView | null>(null);
  const problem = useSignal<Problem | null>(null);
  const round = useSignal(0);
  const rounds = round.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: each round is a new code; the functions only tell what to do with it
  useEffect(() => {
    const stop = new AbortController();
    void follow(start, stop.signal, (begun) => (flow.value = begun))
      .then((identity) => {
        if (!stop.signal.aborted) onDone(identity);
      })
      .catch((error: unknown) => {
        if (!stop.signal.aborted) problem.value = problemOf(error);
      });
    return () => stop.abort();
  }, [rounds]);
  const again = () => {
    problem.value = null;
    flow.value = null;
    round.value += 1;
  };

  if (problem.value)
    return (
      <>
        <ProblemBox problem={problem.value} isCompact />
        <Button kind="primary" onClick={again}>
          {words.again}
        </Button>
      </>
    );
  return (
    <>
      <p class="muted">
        <Prose value={how} />
      </p>
      <p class="user-code">
        <span class="visually-hidden">{words.code}</span>
        <output class="mono">{flow.value?.userCode ?? '···-···'}</output>
      </p>
      {flow.value && (
        <p class="command">
          <code>{flow.value.command}</code>
          <CopyButton value={flow.value.command} />
        </p>
      )}
      <p class="muted small">
        <Prose value={here(flow.value?.userCode ?? 'CODE')} />
      </p>
      <p class="waiting" role="status">
        <Spinner /> {waiting}
      </p>
    </>
  );
}

/** Starts a flow and waits for its end. @throws ApiProblem when it ended without being confirmed */
async function follow(
  start: () => Promise<DeviceView>,
  signal: AbortSignal,
  onBegun: (flow: DeviceView) => void,
): Promise<IdentityView | null> {
  const flow = await start();
  const { deviceSecret, intervalSeconds } = flow;
  if (!signal.aborted) onBegun(flow);
  while (!signal.aborted) {
    await new Promise((resolve) => window.setTimeout(resolve, intervalSeconds * 1000));
    if (signal.aborted) break;
    const isConfirmed = await api('POST /auth/device/poll', { body: { deviceSecret }, signal }).then(
      ({ state }) => state === 'confirmed',
      (error: unknown) => {
        // Asked too often, or the daemon is away for a moment: the code holds on.
        if ([429, 503, 0].includes(problemOf(error).status)) return false;
        throw error;
      },
    );
    if (isConfirmed) return api('POST /auth/device/claim', { body: { deviceSecret } });
  }
  return null;
}
