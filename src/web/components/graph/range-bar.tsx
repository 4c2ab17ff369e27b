import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { chooseRange, chosenRange, RANGES, zoomOut } from './range.ts';

const words = text.graphs;
const format = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** Buttons for how much of time is shown, and what is shown while zoomed in. */
export function RangeBar() {
  const chosen = chosenRange.value;
  return (
    <div class="range-bar">
      <span class="chips" role="group" aria-label={words.range}>
        {RANGES.map(({ id }) => (
          <button
            type="button"
            key={id}
            class="chip"
            aria-pressed={chosen.kind === 'live' && chosen.id === id}
            onClick={() => chooseRange(id)}
          >
            {words.ranges[id]}
          </button>
        ))}
      </span>
      {chosen.kind === 'fixed' ? (
        <span class="range-zoomed">
          <span class="small">
            {format.format(chosen.fromMs)} – {format.format(chosen.toMs)}
          </span>
          <Button isSmall onClick={zoomOut}>
            {words.zoomOut}
          </Button>
        </span>
      ) : (
        <span class="muted small range-hint">{words.zoomHint}</span>
      )}
    </div>
  );
}
