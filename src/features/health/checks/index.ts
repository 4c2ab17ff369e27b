/** All preflight checks, in the order in which they are shown. A new one is one entry in one of these groups, or a new group here. */

import { type CheckDefinition, defineChecks } from '../check.ts';
import { accelerationChecks } from './acceleration.ts';
import { fenceChecks } from './fence.ts';
import { firmwareChecks } from './firmware.ts';
import { libvirtChecks } from './libvirt.ts';
import { nameChecks } from './names.ts';
import { networkChecks } from './network.ts';
import { programChecks } from './programs.ts';
import { resourceChecks } from './resources.ts';
import { stateChecks } from './state.ts';

export const preflightChecks: readonly CheckDefinition[] = defineChecks([
  accelerationChecks,
  programChecks,
  libvirtChecks,
  fenceChecks,
  firmwareChecks,
  resourceChecks,
  networkChecks,
  nameChecks,
  stateChecks,
]);
