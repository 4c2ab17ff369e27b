/** The switch that lets healing do nothing for a while: how long it still lasts, or what is asked before it begins. */

import { useSignal } from '@preact/signals';
import type { HealingPause } from '#contract/healing.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { ExactTime } from '../../components/figures.tsx';
import { Choice, Field } from '../../components/form.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { healing } from '../../state/healing.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';

const words = text.settings.healing;

export function PauseNote({ pause }: { readonly pause: HealingPause }) {
  const goOn = () => api('DELETE /healing/pause').then(healing.reload, showProblem);
  return (
    <p class="row-actions" role="status">
      <span>
        <Glyph tone="warn" shape="triangle" /> {words.pausedUntil} <ExactTime iso={pause.until} />, {words.by(pause.by)}
        {pause.reason !== '' && `: ${pause.reason}`}. <span class="muted">{words.pausedNote}</span>
      </span>
      {canEverywhere('settings.change') && (
        <Button isSmall onClick={goOn}>
          {words.goOn}
        </Button>
      )}
    </p>
  );
}

const SPANS = ['60', '240', '1440'] as const;

export function PauseDialog({ onClose }: { readonly onClose: () => void }) {
  const minutes = useSignal<(typeof SPANS)[number]>('60');
  const reason = useSignal('');
  const begin = async () => {
    try {
      await api('POST /healing/pause', { body: { minutes: Number(minutes.value), reason: reason.value } });
      onClose();
    } catch (error) {
      showProblem(error);
    }
    await healing.reload();
  };
  return (
    <Dialog
      title={words.pauseTitle}
      onClose={onClose}
      onSubmit={() => void begin()}
      foot={
        <Button kind="primary" onClick={begin}>
          {words.pause}
        </Button>
      }
    >
      <p>{words.pauseNote}</p>
      <Choice
        label={words.pauseFor}
        value={minutes.value}
        onChange={(value) => {
          minutes.value = value;
        }}
        options={SPANS.map((value) => ({ value, label: words.spans[value] }))}
      />
      <Field label={words.reason} isOptional>
        {(control) => (
          <input
            {...control}
            maxLength={200}
            value={reason.value}
            onInput={(event) => {
              reason.value = event.currentTarget.value;
            }}
          />
        )}
      </Field>
      <p class="muted">
        {words.alertsNote} <a href="/alerts/silences">{words.silences}</a>
      </p>
    </Dialog>
  );
}
