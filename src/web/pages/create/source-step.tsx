/** What the VM boots from. */

import type { Image } from '#contract/images.ts';
import { ButtonLink } from '../../components/button.tsx';
import { bytesText } from '../../components/figures.tsx';
import { Field } from '../../components/form.tsx';
import { Icon, type IconName } from '../../components/icon.tsx';
import { Loaded } from '../../components/page.tsx';
import { can } from '../../state/api.ts';
import { images } from '../../state/library.ts';
import { isImageOf } from '../../state/projects.ts';
import { text } from '../../text.ts';
import { readyImages, type SourceKind, withCloudImage, withProject } from './draft.ts';
import type { StepProps } from './step-props.ts';

const words = text.create;

const SOURCES: readonly { readonly kind: SourceKind; readonly icon: IconName }[] = [
  { kind: 'cloud', icon: 'bolt' },
  { kind: 'iso', icon: 'image' },
  { kind: 'empty', icon: 'storage' },
  { kind: 'kernel', icon: 'terminal' },
];

export function SourceStep({ draft, project, creatable, change, problemOfField }: StepProps) {
  const choose = (id: string) => {
    const chosen = creatable.find((one) => one.id === id) ?? null;
    const isUsable = (imageId: string) => {
      const image = images.data.value?.get(imageId);
      return image !== undefined && isImageOf(image, chosen);
    };
    change(withProject(draft, id, isUsable));
  };
  return (
    <div class="form">
      {creatable.length > 1 && (
        <Field label={text.fields.project} hint={words.projectHint} problem={problemOfField('project')}>
          {(field) => (
            <select {...field} value={project?.id} onChange={(event) => choose(event.currentTarget.value)}>
              {creatable.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.title ? `${one.name} (${one.title})` : one.name}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <div class="source-cards" role="radiogroup" aria-label={words.stepTitles.source}>
        {SOURCES.map(({ kind, icon }) => (
          <label key={kind} class={`source-card ${draft.source === kind ? 'is-chosen' : ''}`}>
            <input
              type="radio"
              name="source"
              class="visually-hidden"
              checked={draft.source === kind}
              onChange={() => change({ source: kind })}
            />
            <Icon name={icon} size={20} />
            <strong>{words.sources[kind].title}</strong>
            <span class="muted small">{words.sources[kind].note}</span>
          </label>
        ))}
      </div>
      <Loaded resource={images} lines={2}>
        {(known) => {
          const of = (kind: Image['kind']) => readyImages(known, kind).filter((image) => isImageOf(image, project));
          switch (draft.source) {
            case 'iso':
              return (
                <ImageField
                  label={words.iso}
                  list={of('iso')}
                  value={draft.isoId}
                  problem={problemOfField('isoId')}
                  onChange={(image) => change({ isoId: image?.id ?? '' })}
                />
              );
            case 'cloud':
              return (
                <ImageField
                  label={words.cloudImage}
                  list={of('disk')}
                  value={draft.cloudImageId}
                  problem={problemOfField('disks.0.imageId')}
                  onChange={(image) => change(image ? withCloudImage(draft, image) : { cloudImageId: '' })}
                />
              );
            case 'kernel':
              return (
                <>
                  <div class="form-row">
                    <ImageField
                      label={words.kernel}
                      list={of('kernel')}
                      value={draft.kernelImageId}
                      problem={problemOfField('kernel.kernelImageId')}
                      isInCatalogue={false}
                      onChange={(image) => change({ kernelImageId: image?.id ?? '' })}
                    />
                    <ImageField
                      label={words.initrd}
                      list={of('initrd')}
                      value={draft.initrdImageId}
                      problem={problemOfField('kernel.initrdImageId')}
                      isOptional
                      onChange={(image) => change({ initrdImageId: image?.id ?? '' })}
                    />
                  </div>
                  <Field label={words.commandLine} isOptional problem={problemOfField('kernel.commandLine')}>
                    {(field) => (
                      <input
                        {...field}
                        class="mono"
                        autocomplete="off"
                        spellcheck={false}
                        value={draft.commandLine}
                        onInput={(event) => change({ commandLine: event.currentTarget.value })}
                      />
                    )}
                  </Field>
                </>
              );
            case 'empty':
              return <p class="muted">{words.emptyNote}</p>;
          }
        }}
      </Loaded>
    </div>
  );
}

function ImageField({
  label,
  list,
  value,
  problem,
  isOptional = false,
  isInCatalogue = true,
  onChange,
}: {
  readonly label: string;
  readonly list: readonly Image[];
  readonly value: string;
  readonly problem: string | null;
  readonly isOptional?: boolean;
  /** The catalogue has such images. */
  readonly isInCatalogue?: boolean;
  readonly onChange: (image: Image | undefined) => void;
}) {
  if (list.length === 0 && !isOptional)
    return (
      <div class="field">
        <span class="field-name">{label}</span>
        <div class="no-images">
          <p>{isInCatalogue ? words.noImages : words.noKernels}</p>
          {isInCatalogue && (
            <ButtonLink href="/images/catalogue" icon="download">
              {text.images.openCatalogue}
            </ButtonLink>
          )}
          {can('image.upload') && (
            <ButtonLink href="/images?add=upload" icon="upload">
              {words.uploadOne}
            </ButtonLink>
          )}
        </div>
      </div>
    );
  return (
    <Field label={label} isOptional={isOptional} problem={problem}>
      {(field) => (
        <select
          {...field}
          value={value}
          onChange={(event) => onChange(list.find((image) => image.id === event.currentTarget.value))}
        >
          <option value="">{isOptional ? words.without : words.choose}</option>
          {list.map((image) => (
            <option key={image.id} value={image.id}>
              {image.name} ({bytesText(image.virtualSizeBytes)}, {text.images.verified[image.verified]})
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
