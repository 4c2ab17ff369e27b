/** Who gets what: routes in order, of which the first that fits decides, and how messages are gathered. */

import { useSignal } from '@preact/signals';
import type { Channel, Route, Routing } from '#contract/notifications.ts';
import { Button, IconButton } from '../../components/button.tsx';
import { Check, Field } from '../../components/form.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { routing } from '../../state/alerts.ts';
import { api, canEverywhere } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { useRequest } from '../../state/use-request.ts';
import { alertsText } from '../../text-alerts.ts';
import { RouteDialog } from './route-dialog.tsx';
import { routeText } from './route-text.ts';

const words = alertsText.routing;

async function put(body: Routing): Promise<void> {
  await api('PUT /notification-routing', { body });
  await routing.reload();
}

export function RoutingCard({ channels }: { readonly channels: readonly Channel[] }) {
  const open = useSignal<number | 'new' | null>(null);
  const isTiming = useSignal(false);
  if (!canEverywhere('alert.configure')) return null;
  const close = () => {
    open.value = null;
  };
  const change = (next: Routing) => void put(next).catch(showProblem);
  return (
    <Card
      title={words.title}
      aside={
        <Button isSmall icon="plus" onClick={() => (open.value = 'new')}>
          {words.add}
        </Button>
      }
    >
      <Loaded resource={routing} lines={3}>
        {(known) => (
          <>
            {known.routes.length === 0 ? (
              <p class="muted">{words.empty}</p>
            ) : (
              <>
                <p class="muted small">{words.note}</p>
                <ol class="route-list">
                  {known.routes.map((route, index) => (
                    <li key={route.name}>
                      <RouteLine
                        route={route}
                        isFirst={index === 0}
                        isLast={index === known.routes.length - 1}
                        onMove={(step) => change({ ...known, routes: moved(known.routes, index, step) })}
                        onEdit={() => (open.value = index)}
                        onRemove={() => change({ ...known, routes: known.routes.toSpliced(index, 1) })}
                      />
                    </li>
                  ))}
                </ol>
              </>
            )}
            <p class="card-line muted small">
              {words.timingNote(known.groupWait, known.groupInterval, known.repeat)}{' '}
              <button type="button" class="link" onClick={() => (isTiming.value = true)}>
                {words.changeTiming}
              </button>
            </p>
            {open.value !== null && (
              <RouteDialog
                route={open.value === 'new' ? null : (known.routes[open.value] ?? null)}
                channels={channels}
                onSave={(route) =>
                  put({
                    ...known,
                    routes:
                      typeof open.value === 'number' ? known.routes.with(open.value, route) : [...known.routes, route],
                  })
                }
                onClose={close}
              />
            )}
            {isTiming.value && <TimingDialog known={known} onClose={() => (isTiming.value = false)} />}
          </>
        )}
      </Loaded>
    </Card>
  );
}

function moved(routes: readonly Route[], index: number, step: 1 | -1): Route[] {
  const route = routes[index];
  const rest = routes.toSpliced(index, 1);
  return route === undefined ? rest : rest.toSpliced(index + step, 0, route);
}

function RouteLine({
  route,
  isFirst,
  isLast,
  onMove,
  onEdit,
  onRemove,
}: {
  readonly route: Route;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly onMove: (step: 1 | -1) => void;
  readonly onEdit: () => void;
  readonly onRemove: () => void;
}) {
  const { fits, goes, more } = routeText(route);
  return (
    <div class="route-line">
      <div class="route-words breaks">
        <strong class="mono">{route.name}</strong> <span>{fits}</span>{' '}
        <span class="muted">
          {words.to} <strong>{goes}</strong>
        </span>
        {more.map((one) => (
          <span key={one} class="muted subtitle">
            {one}
          </span>
        ))}
      </div>
      <span class="row-actions">
        <IconButton icon="up" label={words.up(route.name)} disabled={isFirst} onClick={() => onMove(-1)} />
        <IconButton icon="down" label={words.down(route.name)} disabled={isLast} onClick={() => onMove(1)} />
        <IconButton icon="edit" label={words.edit(route.name)} onClick={onEdit} />
        <IconButton icon="trash" label={words.remove(route.name)} onClick={onRemove} />
      </span>
    </div>
  );
}

function TimingDialog({ known, onClose }: { readonly known: Routing; readonly onClose: () => void }) {
  const wait = useSignal(known.groupWait);
  const interval = useSignal(known.groupInterval);
  const repeat = useSignal(known.repeat);
  const weekly = useSignal(known.weeklyTest);
  const request = useRequest();
  const fields = [
    [words.groupWait, wait],
    [words.groupInterval, interval],
    [words.repeat, repeat],
  ] as const;
  return (
    <SaveDialog
      title={words.timing}
      action={words.saveTiming}
      request={request}
      onSave={() =>
        put({
          ...known,
          groupWait: wait.value.trim(),
          groupInterval: interval.value.trim(),
          repeat: repeat.value.trim(),
          weeklyTest: weekly.value,
        })
      }
      onClose={onClose}
    >
      {fields.map(([label, value]) => (
        <Field key={label} label={label}>
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              value={value.value}
              onInput={(event) => (value.value = event.currentTarget.value)}
            />
          )}
        </Field>
      ))}
      <Check label={words.weeklyTest} checked={weekly.value} onChange={(isOn) => (weekly.value = isOn)} />
    </SaveDialog>
  );
}
