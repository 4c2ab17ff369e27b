/** Two questions of the first page: is anything wrong with security, and does an update wait? */

import { useEffect } from 'preact/hooks';
import type { CheckStatus } from '#contract/common.ts';
import { Card } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { CheckMark } from '../../components/state-mark.tsx';
import { health } from '../../state/health.ts';
import { preflight } from '../../state/library.ts';
import { healthText as words } from '../../text-health.ts';

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
  return (
    <>
      {security.length > 0 && <Tile title={words.securityTile} lines={security} />}
      {updates.length > 0 && <Tile title={words.updatesTile} lines={updates} />}
    </>
  );
}

function Tile({ title, lines }: { readonly title: string; readonly lines: readonly Line[] }) {
  const bad = lines.filter(({ status }) => status !== 'ok');
  return (
    <Card title={<a href="/health">{title}</a>}>
      {bad.length === 0 ? (
        <p>
          <CheckMark status="ok">{words.allWell}</CheckMark>
        </p>
      ) : (
        <ul class="lately">
          {bad.map(({ id, title: name, status, text, href }) => (
            <li key={id}>
              <CheckMark status={status}>
                <a href={href}>{name}</a>
              </CheckMark>
              <span class="muted what">
                <Prose value={text} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
