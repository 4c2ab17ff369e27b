/** What hyperd mends by itself: how far each action goes, and what it did lately. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { HealingAct, HealingAction, HealingMode } from '#contract/healing.ts';
import { TimeAgo } from '../../components/figures.tsx';
import { Choice } from '../../components/form.tsx';
import { Card, Facts } from '../../components/page.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';

/** Not from the contract: its schemas would come along, and need what the content security policy forbids. */
const MODES: readonly HealingMode[] = ['off', 'observe', 'act'];

const words = text.settings.healing;
const REST_MS = 30_000;
const SHOWN_ACTS = 10;

const TONES: Readonly<Partial<Record<HealingAct['result'], Tone>>> = {
  done: 'good',
  failed: 'bad',
  gave_up: 'bad',
  held: 'warn',
};

export function HealingCard() {
  const actions = useSignal<readonly HealingAction[]>([]);
  const acts = useSignal<readonly HealingAct[]>([]);
  const load = async () => {
    try {
      const [known, done] = await Promise.all([
        api('GET /healing/actions'),
        api('GET /healing/acts', { query: { limit: SHOWN_ACTS } }),
      ]);
      actions.value = known.items;
      acts.value = done.items;
    } catch {
      // The card goes on showing what was known last; the page's head says that the daemon is not there.
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: `load` is the same each time
  useEffect(() => {
    void load();
    const timer = window.setInterval(() => void load(), REST_MS);
    return () => window.clearInterval(timer);
  }, []);
  const set = async (id: HealingAction['id'], mode: HealingMode) => {
    try {
      await api('PATCH /healing/actions/{id}', { params: { id }, body: { mode } });
    } catch (error) {
      showProblem(error);
    }
    await load();
  };
  if (actions.value.length === 0) return null;
  return (
    <Card title={words.title}>
      <p class="muted">{words.about}</p>
      <Facts
        items={actions.value.map(({ id, title, meaning, mode }) => [
          <span key={id} title={meaning}>
            {title}
          </span>,
          canEverywhere('settings.change') ? (
            <Choice
              key={id}
              label={title}
              value={mode}
              onChange={(value) => void set(id, value)}
              options={MODES.map((value) => ({ value, label: words.modes[value] }))}
            />
          ) : (
            words.modes[mode]
          ),
        ])}
      />
      {acts.value.length === 0 ? (
        <p class="muted">{words.nothing}</p>
      ) : (
        <Facts
          items={acts.value.map((act) => [
            <TimeAgo key={act.id} iso={act.at} />,
            <span key={act.id}>
              {act.objectName} <Badge tone={TONES[act.result] ?? 'unknown'}>{words.results[act.result]}</Badge>{' '}
              <span class="small muted">{act.text}</span>
            </span>,
          ])}
        />
      )}
    </Card>
  );
}
