/** Where messages go: channels with their state and a test, who gets what, and what became of messages. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Channel } from '#contract/notifications.ts';
import { Button } from '../../components/button.tsx';
import { EmptyState, Loaded } from '../../components/page.tsx';
import { channelKinds, channels } from '../../state/alerts.ts';
import { can } from '../../state/api.ts';
import { projects } from '../../state/projects.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { alertsText } from '../../text-alerts.ts';
import { ChannelCard } from './channel-card.tsx';
import { ChannelDialog } from './channel-dialog.tsx';
import { NoticesCard } from './notices-card.tsx';
import { RoutingCard } from './routing-card.tsx';

const words = alertsText.channels;

export function ChannelsTab() {
  const edited = useSignal<Channel | null>(null);
  const isAdding = currentQuery.value.get('add') === '1';
  useEffect(() => {
    channelKinds.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const mayAdd = can('alert.configure');
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setQuery({ add: '1' })}>
      {words.create}
    </Button>
  );
  return (
    <div class="stack">
      <Loaded resource={channels} lines={6}>
        {(all) =>
          all.length === 0 ? (
            <EmptyState icon="alert" title={words.none} action={mayAdd && add}>
              {words.noneNote}
            </EmptyState>
          ) : (
            <>
              {mayAdd && (
                <div class="filters">
                  <span class="filter-end">{add}</span>
                </div>
              )}
              <div class="channel-cards">
                {all.map((channel) => (
                  <ChannelCard
                    key={channel.id}
                    channel={channel}
                    onEdit={() => {
                      edited.value = channel;
                    }}
                  />
                ))}
              </div>
              {can('alert.configure') && <RoutingCard channels={all} />}
              <NoticesCard />
            </>
          )
        }
      </Loaded>
      {isAdding && mayAdd && <ChannelDialog channel={null} onClose={() => setQuery({ add: null })} />}
      {edited.value && (
        <ChannelDialog
          channel={edited.value}
          onClose={() => {
            edited.value = null;
          }}
        />
      )}
    </div>
  );
}
