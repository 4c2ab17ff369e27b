/** The limits of a project, each as a bar of what is used. */

import { QUOTA_FACTS } from '#contract/quota-facts.ts';
import type { Quota } from '#contract/quotas.ts';
import { bytesText, Meter } from '../../components/figures.tsx';
import { Facts } from '../../components/page.tsx';
import { text } from '../../text.ts';

const words = text.quotas;
/** From here on a bar warns. */
const WARN_AT = 0.85;

/** @param isWhole shows resources too that are neither allowed nor used */
export function QuotaBars({
  quotas,
  isWhole = false,
}: {
  readonly quotas: readonly Quota[];
  readonly isWhole?: boolean;
}) {
  const shown = quotas.filter(({ limit, used }) => isWhole || limit !== 0 || used > 0);
  if (shown.length === 0) return <p class="muted">{words.none}</p>;
  return (
    <Facts
      items={shown.map((quota) => [
        <span key={quota.resource} title={QUOTA_FACTS[quota.resource].meaning}>
          {QUOTA_FACTS[quota.resource].title}
        </span>,
        <QuotaBar key={quota.resource} quota={quota} />,
      ])}
    />
  );
}

function QuotaBar({ quota }: { readonly quota: Quota }) {
  const { limit, used } = quota;
  const amount = (value: number) => (quota.unit === 'bytes' ? bytesText(value) : String(value));
  // What has no limit has no share of it: a bar would say something else.
  if (limit === null) return <span>{words.unlimited(amount(used))}</span>;
  const ratio = limit === 0 ? (used > 0 ? 1 : 0) : used / limit;
  return (
    <Meter
      ratio={ratio}
      label={words.use(QUOTA_FACTS[quota.resource].title)}
      value={words.of(amount(used), amount(limit))}
      warnAt={WARN_AT}
    />
  );
}
