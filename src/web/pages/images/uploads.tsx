/** Uploads under way: those of this browser with rate and time left, and unfinished ones that can go on when their file is chosen again. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Upload } from '#contract/images.ts';
import { formatDuration } from '#kernel/units.ts';
import { Button, IconButton } from '../../components/button.tsx';
import { bytesText, percentText, rateText, TimeAgo } from '../../components/figures.tsx';
import { ProgressBar } from '../../components/operation-item.tsx';
import { Card } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { serverUploads } from '../../state/library.ts';
import { showProblem } from '../../state/operations.ts';
import { giveUpUpload, type LocalUpload, localUploads, resumeUpload } from '../../state/uploads.ts';
import { text } from '../../text.ts';

const words = text.upload;

export function Uploads() {
  useEffect(() => serverUploads.ensure(), []);
  const mine = [...localUploads.value.values()];
  const others = [...(serverUploads.data.value?.values() ?? [])].filter((upload) => !localUploads.value.has(upload.id));
  if (mine.length + others.length === 0) return null;
  return (
    <Card title={words.title} class="uploads">
      <div class="separated" aria-live="polite">
        {mine.map((upload) => (
          <Mine key={upload.id} upload={upload} />
        ))}
        {others.map((upload) => (
          <Unfinished key={upload.id} upload={upload} />
        ))}
      </div>
    </Card>
  );
}

function Mine({ upload }: { readonly upload: LocalUpload }) {
  const ratio = upload.sizeBytes > 0 ? upload.sentBytes / upload.sizeBytes : 0;
  const left = upload.bytesPerSecond ? ((upload.sizeBytes - upload.sentBytes) / upload.bytesPerSecond) * 1000 : null;
  return (
    <div class="upload" data-testid="upload">
      <div class="operation-line">
        <strong class="mono">{upload.name}</strong>
        <IconButton
          icon="close"
          label={words.giveUp(upload.name)}
          onClick={() => void giveUpUpload(upload.id).catch(showProblem)}
        />
      </div>
      <ProgressBar ratio={ratio} label={words.progress(upload.name)} />
      <p class="muted small">
        {[
          percentText(ratio),
          text.operations.ofBytes(bytesText(upload.sentBytes), bytesText(upload.sizeBytes)),
          upload.state === 'sending' && upload.bytesPerSecond !== null && rateText(upload.bytesPerSecond),
          upload.state === 'sending' && left !== null && text.operations.left(formatDuration(left)),
          upload.state === 'waiting' && words.waiting,
        ]
          .filter(Boolean)
          .join(' · ')}
      </p>
      {upload.state === 'failed' && upload.problem && <ProblemBox problem={upload.problem} isCompact />}
    </div>
  );
}

function Unfinished({ upload }: { readonly upload: Upload }) {
  const input = useRef<HTMLInputElement>(null);
  const isWrongFile = useSignal(false);
  const isChecking = upload.state === 'checking';
  return (
    <div class="upload">
      <div class="operation-line">
        <strong class="mono">{upload.name}</strong>
        {!isChecking && (
          <IconButton
            icon="close"
            label={words.giveUp(upload.name)}
            onClick={() => void giveUpUpload(upload.id).catch(showProblem)}
          />
        )}
      </div>
      <ProgressBar ratio={isChecking ? null : upload.offset / upload.sizeBytes} label={words.progress(upload.name)} />
      <div class="operation-line">
        <p class="muted small">
          {isChecking ? (
            words.checking
          ) : (
            <>
              {words.unfinished(bytesText(upload.offset), bytesText(upload.sizeBytes))}{' '}
              <TimeAgo iso={upload.expiresAt} />
            </>
          )}
        </p>
        {!isChecking && (
          <Button isSmall icon="upload" onClick={() => input.current?.click()}>
            {words.goOn}
          </Button>
        )}
      </div>
      {isWrongFile.value && <p class="field-problem">{words.wrongFile(bytesText(upload.sizeBytes))}</p>}
      <input
        ref={input}
        type="file"
        hidden
        aria-label={words.goOn}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = '';
          if (file) isWrongFile.value = !resumeUpload(file, upload);
        }}
      />
    </div>
  );
}
