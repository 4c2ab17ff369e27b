/** What hyperd mends by itself: how far each action goes, and what it did lately. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { HealingAct, HealingAction, HealingMode } from '#contract/healing.ts';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Choice } from '../../components/form.tsx';
import { Card, Facts } from '../../components/page.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { healing, healingActs } from '../../state/healing.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { PauseDialog, PauseNote } from './healing-pause.tsx';

/** Not from the contract: its schemas would come along, and need what the content security policy forbids. */
const MODES: readonly HealingMode[] = ['off', 'observe', 'act'];

const words = text.settings.healing;

const TONES: Readonly<Partial<Record<HealingAct['result'], Tone>>> = {
  done: 'good',
  failed: 'bad',
  gave_up: 'bad',
  held: 'warn',
};

export function HealingCard() {
  const isAsking = useSignal(false);
  useEffect(() => {
    healing.ensure();
    healingActs.ensure();
  }, []);
  const set = async (id: HealingAction['id'], mode: HealingMode) => {
    try {
      await api('PATCH /healing/actions/{id}', { params: { id }, body: { mode } });
    } catch (error) {
      showProblem(error);
    }
    await healing.reload();
  };
  // While the daemon is away the card goes on showing what was known last; the page's head says so.
  const known = healing.data.value;
  if (known === null) return null;
  const acts = healingActs.data.value ?? [];
  const canSet = canEverywhere('settings.change');
  return (
    <Card
      title={words.title}
      aside={
        canSet &&
        known.pause === null && (
          <Button
            isSmall
            onClick={() => {
              isAsking.value = true;
            }}
          >
            {words.pauseOpen}
          </Button>
        )
      }
    >
      <p class="muted">{words.about}</p>
      {known.pause !== null && <PauseNote pause={known.pause} />}
      {isAsking.value && (
        <PauseDialog
          onClose={() => {
            isAsking.value = false;
          }}
        />
      )}
      <Facts
        items={known.items.map(({ id, title, meaning, mode }) => [
          <span key={id} title={meaning}>
            {title}
          </span>,
          canSet ? (
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
      {acts.length === 0 ? (
        <p class="muted">{words.nothing}</p>
      ) : (
        <Facts
          items={acts.map((act) => [
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
