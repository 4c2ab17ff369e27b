/** What the screen of the test VM showed. A picture opens large; nothing rests on it. */

import { useSignal } from '@preact/signals';
import type { Proof } from '#contract/verification.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Card } from '../../components/page.tsx';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { fileAddress, isPicture, pictureParts } from './evidence-file.ts';

const words = backupsText.proof;

function nameOf(file: string): string {
  const { start, moment } = pictureParts(file);
  const said = words.moments[moment] ?? moment;
  return start === '' ? said : words.pictureName(start, said);
}

export function Pictures({ proof }: { readonly proof: Proof }) {
  const large = useSignal<string | null>(null);
  const pictures = proof.evidence.files.filter(isPicture);
  return (
    <Card title={words.pictures}>
      {pictures.length === 0 ? (
        <p class="muted">{words.noPictures}</p>
      ) : (
        <>
          <ul class="pictures">
            {pictures.map(({ name }) => (
              <li key={name}>
                <button
                  type="button"
                  class="picture"
                  aria-label={words.enlarge(nameOf(name))}
                  onClick={() => (large.value = name)}
                >
                  <img src={fileAddress(proof.id, name)} alt={words.pictureOf(nameOf(name))} loading="lazy" />
                </button>
                <span class="muted small">{nameOf(name)}</span>
              </li>
            ))}
          </ul>
          <p class="muted small">{words.pictureNote}</p>
        </>
      )}
      {large.value !== null && (
        <Dialog
          isWide
          title={nameOf(large.value)}
          onClose={() => (large.value = null)}
          foot={<Button onClick={() => (large.value = null)}>{text.actions.close}</Button>}
        >
          <img
            class="picture-large"
            src={fileAddress(proof.id, large.value)}
            alt={words.pictureOf(nameOf(large.value))}
          />
        </Dialog>
      )}
    </Card>
  );
}
