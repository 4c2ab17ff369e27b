/** What the checkers of the file systems said of a restore point; what they printed opens below each. */

import type { FilesystemCheck } from '#contract/backup-files.ts';
import { Card } from '../../components/page.tsx';
import { Mark } from '../../components/state-mark.tsx';
import { backupsText } from '../../text-backups.ts';

const words = backupsText.proof;

const MARKS = {
  clean: ['good', 'dot'],
  mended: ['good', 'half'],
  doubtful: ['warn', 'triangle'],
  damaged: ['bad', 'square'],
  unchecked: ['unknown', 'ring'],
} as const;

export function FilesystemChecks({ checks }: { readonly checks: readonly FilesystemCheck[] }) {
  if (checks.length === 0) return null;
  return (
    <Card title={words.filesystems}>
      <ul class="separated">
        {checks.map(({ volume, kind, state, text }) => {
          const [tone, shape] = MARKS[state];
          return (
            <li key={volume}>
              <p class="operation-line">
                <span class="mono">
                  {volume} <span class="muted">{kind}</span>
                </span>
                <Mark tone={tone} shape={shape}>
                  {words.filesystemStates[state]}
                </Mark>
              </p>
              {text.trim() !== '' && (
                <details class="more">
                  <summary>{words.printed}</summary>
                  <pre class="serial-log" role="region" tabIndex={0} aria-label={words.printedOf(volume)}>
                    {text}
                  </pre>
                </details>
              )}
            </li>
          );
        })}
      </ul>
    </Card>
  );
}
