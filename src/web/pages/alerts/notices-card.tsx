/** What became of messages; those that were given up can be sent again. */

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Notice } from '#contract/notifications.ts';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Chips } from '../../components/filters.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { showProblem } from '../../state/operations.ts';
import { alertsText } from '../../text-alerts.ts';

const words = alertsText.notices;

const OFFERED = ['dead', 'waiting', 'sent', 'unrouted', 'silenced'] as const;
type Offered = (typeof OFFERED)[number];
const SHOWN = 50;

const TONES: Readonly<Record<Notice['state'], Tone>> = {
  waiting: 'warn',
  sent: 'good',
  dead: 'bad',
  merged: 'unknown',
  silenced: 'unknown',
  inhibited: 'unknown',
  unrouted: 'warn',
  not_sent: 'unknown',
};

export function NoticesCard() {
  const state = useSignal<Offered | null>(null);
  const chosen = state.value;
  const notices = useMemo(
    () =>
      createResource(
        async () =>
          (await api('GET /notices', { query: { limit: SHOWN, ...(chosen === null ? {} : { state: chosen }) } })).items,
        ['notice.changed'],
        800,
      ),
    [chosen],
  );
  useEffect(() => notices.ensure(), [notices]);
  const retry = async (notice: Notice) => {
    try {
      await api('POST /notices/{id}/retry', { params: { id: notice.id } });
      await notices.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <Card
      class="is-flush"
      title={words.title}
      aside={
        <Chips
          label={words.state}
          chosen={chosen}
          options={OFFERED.map((value) => ({ value, label: words.states[value] }))}
          onChoose={(value) => {
            state.value = value;
          }}
        />
      }
    >
      <Loaded resource={notices} lines={4}>
        {(items) =>
          items.length === 0 ? (
            <p class="muted card-note">{chosen === null ? words.none : words.noneOf}</p>
          ) : (
            <StackTable
              rows={items}
              keyOf={({ id }) => id}
              columns={[
                {
                  head: words.when,
                  isSelfEvident: true,
                  class: 'small',
                  cell: (notice) => <TimeAgo iso={notice.at} />,
                },
                {
                  head: words.message,
                  kind: 'title',
                  class: 'breaks',
                  cell: (notice) => (
                    <>
                      {notice.title}
                      {notice.lastError && <span class="muted subtitle">{notice.lastError}</span>}
                    </>
                  ),
                },
                {
                  head: words.channel,
                  class: 'small breaks',
                  cell: (notice) => notice.channel ?? <span class="muted">{words.noChannel}</span>,
                },
                {
                  head: words.result,
                  class: 'small',
                  isSelfEvident: true,
                  cell: (notice) => (
                    <>
                      <Badge tone={TONES[notice.state]}>{words.states[notice.state]}</Badge>
                      {notice.attempts > 1 && <span class="muted"> {words.attempts(notice.attempts)}</span>}
                    </>
                  ),
                },
                {
                  head: words.actions,
                  kind: 'actions',
                  cell: (notice) =>
                    notice.state === 'dead' && can('alert.configure', notice.project ?? undefined) ? (
                      <Button isSmall aria-label={words.retryFor(notice.title)} onClick={() => void retry(notice)}>
                        {words.retry}
                      </Button>
                    ) : null,
                },
              ]}
            />
          )
        }
      </Loaded>
    </Card>
  );
}
