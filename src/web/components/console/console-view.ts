/** What a screen and a terminal have in common for the frame around them. */

import type { Signal } from '@preact/signals';
import type { ComponentChildren, FunctionComponent } from 'preact';
import type { Vm } from '#contract/vms.ts';

export interface ConsoleViewProps {
  readonly vm: Vm;
  readonly isViewOnly: boolean;
  /** Where it puts its own buttons. */
  readonly buttons: Signal<ComponentChildren>;
}

export type ConsoleView = FunctionComponent<ConsoleViewProps>;
