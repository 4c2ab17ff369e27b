/** All kinds of channels. A new one is a file and a line here. */

import type { ChannelKind } from '#contract/notifications.ts';
import { alertmanager } from './alertmanager.ts';
import { apprise } from './apprise.ts';
import type { ChannelType } from './channel.ts';
import { discord } from './discord.ts';
import { email } from './email.ts';
import { gotify } from './gotify.ts';
import { ntfy } from './ntfy.ts';
import { pagerduty } from './pagerduty.ts';
import { slack } from './slack.ts';
import { teams } from './teams.ts';
import { telegram } from './telegram.ts';
import { webhook } from './webhook.ts';

export const CHANNEL_TYPES: Readonly<Record<ChannelKind, ChannelType>> = {
  email,
  slack,
  discord,
  teams,
  ntfy,
  telegram,
  gotify,
  pagerduty,
  alertmanager,
  webhook,
  apprise,
};
