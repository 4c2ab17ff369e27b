/** How full pools and file systems are, how they grow, and when they may be full: a range, or plainly that nobody can say yet. */

import type { CapacityItem } from '#contract/metrics.ts';
import { bytesText, Meter } from '../../components/figures.tsx';
import { Icon } from '../../components/icon.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { text } from '../../text.ts';

const words = text.metrics.capacity;

const capacity = createResource(async () => (await api('GET /metrics/capacity')).items);

/** Days of history that a forecast needs. */
const NEEDED_DAYS = 7;

export function CapacityTab() {
  return (
    <Loaded resource={capacity} lines={6}>
      {(items) =>
        items.length === 0 ? (
          <EmptyState icon="storage" title={words.none}>
            {words.noneNote}
          </EmptyState>
        ) : (
          <div class="capacity">
            {items.toSorted(soonestFirst).map((item) => (
              <CapacityCard key={`${item.kind} ${item.id} ${item.sub}`} item={item} />
            ))}
          </div>
        )
      }
    </Loaded>
  );
}

function soonestFirst(a: CapacityItem, b: CapacityItem): number {
  const soonest = (item: CapacityItem) => item.fullInDays?.soonest ?? Number.POSITIVE_INFINITY;
  return soonest(a) - soonest(b) || (b.usedRatio ?? 0) - (a.usedRatio ?? 0);
}

function CapacityCard({ item }: { readonly item: CapacityItem }) {
  const [tone, badge] = badgeOf(item);
  return (
    <Card
      title={
        <span class="capacity-name">
          <Icon name="storage" /> {item.sub}
        </span>
      }
      aside={<Badge tone={tone}>{badge}</Badge>}
    >
      <p class="muted small">
        {words.kinds[item.kind] ?? item.kind}
        {item.owner === 'vm' && (
          <>
            {' '}
            {words.of} <a href={`/vms/${item.id}`}>{item.name}</a>
          </>
        )}
      </p>
      <Meter
        ratio={item.usedRatio}
        label={words.used(item.sub)}
        warnAt={0.85}
        value={words.usedOf(bytesText(item.usedBytes), bytesText(item.sizeBytes))}
      />
      <p>{outlookText(item)}</p>
    </Card>
  );
}

function badgeOf(item: CapacityItem): readonly [Tone, string] {
  if (item.outlook === 'too_little_data') return ['unknown', words.tooLittle];
  if (item.outlook === 'no_trend') return ['good', words.noTrend];
  if (item.outlook === 'shrinking') return ['good', words.shrinking];
  const soonest = item.fullInDays?.soonest ?? Number.POSITIVE_INFINITY;
  const tone = soonest < 14 ? 'bad' : soonest < 60 ? 'warn' : 'good';
  return [
    tone,
    words.fullIn(daysText(soonest), item.fullInDays?.latest == null ? null : daysText(item.fullInDays.latest)),
  ];
}

function outlookText(item: CapacityItem): string {
  if (item.outlook === 'too_little_data') return words.tooLittleNote(item.days, NEEDED_DAYS);
  const perDay = item.bytesPerDay ?? 0;
  if (item.outlook === 'no_trend') return words.noTrendNote(item.days);
  return perDay < 0
    ? words.shrinks(bytesText(Math.round(-perDay)), item.days)
    : words.grows(bytesText(Math.round(perDay)), item.days);
}

/** `9 days`, `5 weeks`, `7 months`, `3 years`. */
function daysText(days: number): string {
  if (days < 1) return words.hours(Math.max(1, Math.round(days * 24)));
  if (days < 14) return words.days(Math.round(days));
  if (days < 70) return words.weeks(Math.round(days / 7));
  if (days < 730) return words.months(Math.round(days / 30.44));
  return words.years(Math.round(days / 365));
}
