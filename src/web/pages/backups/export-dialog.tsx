/** A disk of a restore point as a file: which one, in which format. */

import { useSignal } from '@preact/signals';
import type { RestorePoint } from '#contract/backups.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { bytesText } from '../../components/figures.tsx';
import { Choice, Field } from '../../components/form.tsx';
import { Icon } from '../../components/icon.tsx';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';

const words = backupsText.export;

const FORMATS = ['qcow2', 'raw'] as const;

/** @param from id of the copy that it is read from; null = its repository */
export function ExportDialog({
  point,
  from,
  onClose,
}: {
  readonly point: RestorePoint;
  readonly from: string | null;
  readonly onClose: () => void;
}) {
  const target = useSignal(point.disks[0]?.target ?? '');
  const format = useSignal<(typeof FORMATS)[number]>('qcow2');
  const href = `/api/v1/restore-points/${encodeURIComponent(point.id)}/disk?target=${target.value}&format=${format.value}${from === null ? '' : `&from=${encodeURIComponent(from)}`}`;
  return (
    <Dialog
      title={words.title(point.vmName)}
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <a
            class="button primary"
            href={href}
            download={`${point.vmName}-${target.value}.${format.value}`}
            onClick={onClose}
          >
            <Icon name="download" />
            <span>{words.action}</span>
          </a>
        </>
      }
    >
      <p class="muted">{words.note}</p>
      <Field label={words.disk}>
        {(field) => (
          <select {...field} value={target.value} onChange={(event) => (target.value = event.currentTarget.value)}>
            {point.disks.map((disk) => (
              <option key={disk.target} value={disk.target}>
                {disk.target} · {bytesText(disk.sizeBytes)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <div class="field">
        <span class="label">{words.format}</span>
        <Choice
          label={words.format}
          value={format.value}
          options={FORMATS.map((value) => ({ value, label: value }))}
          onChange={(value) => (format.value = value)}
        />
      </div>
    </Dialog>
  );
}
