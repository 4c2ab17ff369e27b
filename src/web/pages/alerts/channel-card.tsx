/** One channel: whether it works, when it was used last, and a test that tells how it really ended. */

import { useSignal } from '@preact/signals';
import type { Answer } from '#contract/api.ts';
import type { Channel } from '#contract/notifications.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, Facts } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Badge, Mark } from '../../components/state-mark.tsx';
import { channelKinds, channels } from '../../state/alerts.ts';
import { api, can } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { areSeveralProjects, projectName } from '../../state/projects.ts';
import { useRequest } from '../../state/use-request.ts';
import { alertsText } from '../../text-alerts.ts';
import { fieldTitle, settingText } from './channel-fields.ts';

const words = alertsText.channels;

const MARKS = { ok: ['good', 'dot'], failing: ['bad', 'square'], unused: ['unknown', 'question'] } as const;

export function ChannelCard({ channel, onEdit }: { readonly channel: Channel; readonly onEdit: () => void }) {
  const result = useSignal<Answer<'POST /channels/{id}/test'> | null>(null);
  const isRemoving = useSignal(false);
  const request = useRequest();
  const params = { id: channel.id };
  const mayChange = can('alert.configure', channel.project ?? undefined);
  const isFixed = channel.origin === 'configuration';
  const [tone, shape] = channel.isEnabled ? MARKS[channel.state] : (['unknown', 'ring'] as const);
  const kind = channelKinds.data.value?.find((one) => one.kind === channel.kind)?.title ?? channel.kind;
  const test = () =>
    request.run(async () => {
      result.value = null;
      result.value = await api('POST /channels/{id}/test', { params });
      await channels.reload();
    });
  const change = async (work: Promise<unknown>) => {
    try {
      await work;
      await channels.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <Card
      class="channel-card"
      title={<span class="breaks">{channel.name}</span>}
      aside={
        <>
          <Mark tone={tone} shape={shape}>
            {channel.isEnabled ? words.states[channel.state] : words.off}
          </Mark>
          {mayChange && !isFixed && (
            <Menu
              label={alertsText.actionsFor(channel.name)}
              entries={[
                { label: words.edit, icon: 'edit', run: onEdit },
                {
                  label: channel.isEnabled ? words.disable : words.enable,
                  icon: 'power',
                  run: () =>
                    void change(api('PATCH /channels/{id}', { params, body: { isEnabled: !channel.isEnabled } })),
                },
                {
                  label: words.remove,
                  icon: 'trash',
                  isDangerous: true,
                  startsGroup: true,
                  run: () => {
                    isRemoving.value = true;
                  },
                },
              ]}
            />
          )}
        </>
      }
    >
      <p class="badges">
        <Badge>{kind}</Badge>
        {isFixed && <Badge title={words.configuredHint}>{words.configured}</Badge>}
        {areSeveralProjects.value && (
          <Badge>{channel.project === null ? words.system : projectName(channel.project)}</Badge>
        )}
      </p>
      <Facts
        items={[
          ...Object.entries(channel.settings)
            .filter(([name, value]) => name !== 'ca' && value !== null)
            .map(([name, value]) => [fieldTitle(name), <span class="breaks">{settingText(value)}</span>] as const),
          ...(channel.secretNames.length === 0
            ? []
            : [[words.secrets, channel.secretNames.map(fieldTitle).join(', ')] as const]),
          [words.lastSent, channel.lastSentAt === null ? words.never : <TimeAgo iso={channel.lastSentAt} />],
          ...(channel.lastError === null || result.value !== null
            ? []
            : [[words.lastError, <span class="breaks tone-bad">{channel.lastError}</span>] as const]),
        ]}
      />
      {request.problem.value && <ProblemBox isCompact problem={request.problem.value} />}
      {mayChange && (
        <div class="channel-test">
          <Button
            icon="play"
            isBusy={request.isBusy.value}
            aria-label={`${words.test}: ${channel.name}`}
            onClick={() => void test()}
          >
            {words.test}
          </Button>
          <p role="status" class="small breaks">
            {result.value && <TestResult result={result.value} />}
          </p>
        </div>
      )}
      {isRemoving.value && (
        <ConfirmDialog
          title={words.removeTitle(channel.name)}
          action={words.removeAction}
          onClose={() => {
            isRemoving.value = false;
          }}
          onConfirm={() => void change(api('DELETE /channels/{id}', { params }))}
        >
          <p>{words.removeNote}</p>
        </ConfirmDialog>
      )}
    </Card>
  );
}

function TestResult({ result }: { readonly result: Answer<'POST /channels/{id}/test'> }) {
  return (
    <>
      <Mark tone={result.isDelivered ? 'good' : 'bad'} shape={result.isDelivered ? 'dot' : 'square'}>
        {result.isDelivered ? words.delivered : words.notDelivered}
      </Mark>{' '}
      {[result.error, result.isDelivered ? result.note : null].filter(Boolean).join(' ')}
    </>
  );
}
