/** Whether the audit log is whole: its head, its last check, its signed checkpoint and its copies elsewhere. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { AuditStatus } from '#contract/audit.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Card, Facts } from '../../components/page.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';

const words = text.audit.chain;
/** While a check runs its end is waited for. */
const POLL_MS = 1500;
const REST_MS = 30_000;

const MIRROR_TONES: Readonly<Record<AuditStatus['mirrors'][number]['state'], Tone>> = {
  current: 'good',
  behind: 'warn',
  failing: 'bad',
};

export function ChainCard() {
  const status = useSignal<AuditStatus | null>(null);
  const load = async () => {
    try {
      status.value = await api('GET /audit/status');
    } catch {
      // The list beside it says what is wrong; this card shows what was known last.
    }
  };
  const isVerifying = status.value?.isVerifying ?? false;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `load` is the same each time
  useEffect(() => {
    void load();
    const timer = window.setInterval(() => void load(), isVerifying ? POLL_MS : REST_MS);
    return () => window.clearInterval(timer);
  }, [isVerifying]);
  const verify = async () => {
    try {
      status.value = await api('POST /audit/verify');
    } catch (error) {
      showProblem(error);
    }
  };
  const known = status.value;
  if (known === null) return null;
  const { verification, checkpoint, head, mirrors, settings } = known;
  return (
    <Card
      title={words.title}
      aside={
        <Button isSmall isBusy={isVerifying} icon="check" onClick={() => void verify()}>
          {words.verify}
        </Button>
      }
    >
      <Facts
        items={[
          [
            words.state,
            verification === null ? (
              <Badge key="s">{words.notChecked}</Badge>
            ) : (
              <span key="s">
                <Badge tone={verification.ok ? 'good' : 'bad'}>{verification.ok ? words.whole : words.changed}</Badge>{' '}
                <span class="muted">
                  {words.records(verification.records)}, <TimeAgo iso={verification.at} />
                </span>
                {verification.findings.slice(0, 5).map(({ kind, seq, detail }) => (
                  <p key={`${kind} ${seq}`} class="small">
                    {detail}
                  </p>
                ))}
              </span>
            ),
          ],
          [
            words.head,
            <span key="h" class="with-copy">
              <code class="small breaks">
                {head.seq}: {head.hash}
              </code>
              <CopyButton value={head.hash} />
            </span>,
          ],
          [
            words.checkpoint,
            checkpoint === null ? (
              <span key="c" class="muted">
                {words.noCheckpoint}
              </span>
            ) : (
              <span key="c">
                {words.signed(checkpoint.seq)}, <TimeAgo iso={checkpoint.at} />
              </span>
            ),
          ],
          [
            words.mirrors,
            mirrors.length === 0 ? (
              <span key="m" class="muted">
                {words.noMirrors}
              </span>
            ) : (
              <span key="m">
                {mirrors.map(({ name, target, state, behind, error }) => (
                  <p key={name} class="small">
                    <Badge tone={MIRROR_TONES[state]}>{words.mirrorStates[state]}</Badge> {target}
                    {behind > 0 && ` · ${words.behind(behind)}`}
                    {error !== null && ` · ${error}`}
                  </p>
                ))}
              </span>
            ),
          ],
          [
            words.kept,
            <span key="k">
              {words.keptFor(settings.retentionDays, settings.legalHold)}
              <p class="small muted breaks">{words.setIn(settings.configFile)}</p>
            </span>,
          ],
        ]}
      />
    </Card>
  );
}
