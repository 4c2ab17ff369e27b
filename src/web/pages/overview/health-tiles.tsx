/** Two questions of the first page: is anything wrong with security, and does an update wait? */

import { useEffect } from 'preact/hooks';
import type { CheckStatus } from '#contract/common.ts';
import { Card } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { CheckMark } from '../../components/state-mark.tsx';
import { health } from '../../state/health.ts';
import { preflight } from '../../state/library.ts';
import { healthText as words } from '../../text-health.ts';
import './health-tiles.css';

interface Line {
  readonly id: string;
  readonly title: string;
  readonly status: CheckStatus;
  readonly text: string;
  readonly href: string;
}

export function HealthTiles() {
  useEffect(() => {
    health.ensure();
    preflight.ensure();
  }, []);
  const results = health.data.value?.results ?? [];
  const ofHealth = (isMeant: (id: string) => boolean): readonly Line[] =>
    results
      .filter(({ id }) => isMeant(id))
      .map(({ id, title, status, evidence }) => ({ id, title, status, text: evidence, href: `/health#${id}` }));
  const fences = (preflight.data.value?.checks ?? [])
    .filter(({ id }) => id.startsWith('fence.'))
    .map(({ id, title, status, detail }): Line => ({ id, title, status, text: detail, href: '/hosts' }));
  const security = [...ofHealth((id) => id.startsWith('security.')), ...fences];
  const updates = ofHealth((id) => id === 'system.image');
  const isAlone = security.length === 0 || updates.length === 0;
  return (
    <>
      {security.length > 0 && <Tile title={words.securityTile} lines={security} isWide={isAlone} />}
      {updates.length > 0 && <Tile title={words.updatesTile} lines={updates} isWide={isAlone} />}
    </>
  );
}

function Tile({
  title,
  lines,
  isWide,
}: {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly isWide: boolean;
}) {
  const bad = lines.filter(({ status }) => status !== 'ok');
  return (
    <Card title={<a href="/health">{title}</a>} class={isWide ? 'wide' : ''}>
      {bad.length === 0 ? (
        <p>
          <CheckMark status="ok">{words.allWell}</CheckMark>
        </p>
      ) : (
        <ul class="tile-list">
          {bad.map(({ id, title: name, status, text, href }) => (
            <li key={id}>
              <CheckMark status={status}>
                <a href={href}>{name}</a>
              </CheckMark>
              <p class="muted small">
                <Prose value={text} />
              </p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
