/** Buttons and links that look like buttons. A button says what happens. */

import type { ComponentChildren, JSX } from 'preact';
import { Icon, type IconName } from './icon.tsx';

export type ButtonKind = 'primary' | 'plain' | 'quiet' | 'danger';

type ButtonProps = Omit<JSX.IntrinsicElements['button'], 'icon' | 'size'> & {
  readonly kind?: ButtonKind;
  readonly icon?: IconName;
  readonly isBusy?: boolean;
  readonly isSmall?: boolean;
  readonly children?: ComponentChildren;
};

export function Button({
  kind = 'plain',
  icon,
  isBusy = false,
  isSmall = false,
  children,
  class: extra,
  disabled,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={disabled || isBusy}
      aria-busy={isBusy}
      class={`button ${kind} ${isSmall ? 'small' : ''} ${extra ?? ''}`}
    >
      {isBusy ? <Spinner /> : icon && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

/** A button with an icon only; `label` is what screen readers and the tooltip say. */
export function IconButton({
  icon,
  label,
  class: extra,
  ...rest
}: Omit<JSX.IntrinsicElements['button'], 'icon' | 'label'> & { readonly icon: IconName; readonly label: string }) {
  return (
    <button type="button" {...rest} class={`icon-button ${extra ?? ''}`} aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}

/** @param opensWindow opens beside this page instead of replacing it */
export function ButtonLink({
  href,
  kind = 'plain',
  icon,
  children,
  opensWindow = false,
}: {
  readonly href: string;
  readonly kind?: ButtonKind;
  readonly icon?: IconName;
  readonly children: ComponentChildren;
  readonly opensWindow?: boolean;
}) {
  return (
    <a href={href} class={`button ${kind}`} {...(opensWindow ? { target: '_blank', rel: 'noopener' } : {})}>
      {icon && <Icon name={icon} />}
      <span>{children}</span>
    </a>
  );
}

export function Spinner() {
  return <span class="spinner" aria-hidden="true" />;
}
