/** Questions in order: is anything wrong, is everything protected, how is the host, what runs, what happened lately. */

import { useEffect } from 'preact/hooks';
import type { Host, Overview } from '#contract/system.ts';
import { SeverityMark } from '../../components/alert-marks.tsx';
import { Button, ButtonLink } from '../../components/button.tsx';
import { bytesText, Meter, percentText, Since, Sparkline, TimeAgo } from '../../components/figures.tsx';
import { NoVms } from '../../components/no-vms.tsx';
import { OperationProgress } from '../../components/operation-item.tsx';
import { Card, Loaded, PageHead } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { ActiveMark, Badge, Glyph, OperationMark, vmTone } from '../../components/state-mark.tsx';
import { alerts, firingAlerts } from '../../state/alerts.ts';
import { api, can, canEverywhere } from '../../state/api.ts';
import { isOpen, showProblem } from '../../state/operations.ts';
import { overview } from '../../state/overview.ts';
import { filesystemName, text } from '../../text.ts';
import { BackupsTile } from './backups-tile.tsx';
import { HealthTiles } from './health-tiles.tsx';

const words = text.overview;

export function OverviewPage() {
  return (
    <>
      <PageHead title={text.pages.overview}>
        {can('vm.create') && (
          <ButtonLink icon="plus" href="/vms/new">
            {text.vms.create}
          </ButtonLink>
        )}
      </PageHead>
      <Loaded resource={overview} lines={8}>
        {(data) => (
          <div class="overview">
            {(data.problems.length > 0 || canEverywhere('host.read')) && <Posture data={data} />}
            {data.problems.length > 0 && <Problems data={data} />}
            {can('alert.read') && <AlertsCard />}
            {can('backup.read') && <BackupsTile />}
            {data.host && <HostCard host={data.host} />}
            <VmsCard data={data} />
            {canEverywhere('host.read') && <HealthTiles />}
            <OperationsCard data={data} />
          </div>
        )}
      </Loaded>
    </>
  );
}

function Posture({ data }: { readonly data: Overview }) {
  const failures = data.problems.filter((problem) => problem.severity === 'fail').length;
  const warnings = data.problems.length - failures;
  const [tone, shape] =
    failures > 0
      ? (['bad', 'square'] as const)
      : warnings > 0
        ? (['warn', 'triangle'] as const)
        : data.checkedAt === null
          ? (['unknown', 'question'] as const)
          : (['good', 'dot'] as const);
  return (
    <p class={`posture tone-${tone}`}>
      <Glyph tone={tone} shape={shape} />
      <strong>
        {data.checkedAt === null && data.problems.length === 0 ? words.unchecked : words.posture(failures, warnings)}
      </strong>
      {canEverywhere('host.read') && (
        <span class="muted">
          {data.checkedAt === null ? (
            <a href="/hosts">{words.checkNow}</a>
          ) : (
            <>
              {words.checked} <TimeAgo iso={data.checkedAt} />
            </>
          )}
        </span>
      )}
    </p>
  );
}

function failuresFirst(a: Overview['problems'][number], b: Overview['problems'][number]): number {
  return Number(b.severity === 'fail') - Number(a.severity === 'fail');
}

function Problems({ data }: { readonly data: Overview }) {
  return (
    <Card title={words.attention} class="wide attention">
      <ul class="problem-list">
        {data.problems.toSorted(failuresFirst).map((problem) => (
          <li key={problem.id}>
            <details open={problem.severity === 'fail'}>
              <summary>
                <Glyph
                  tone={problem.severity === 'fail' ? 'bad' : 'warn'}
                  shape={problem.severity === 'fail' ? 'square' : 'triangle'}
                />
                <strong>{problem.title}</strong>
                <span class="visually-hidden">{words.severity[problem.severity]}</span>
                <span class="muted problem-brief">
                  <Prose value={problem.detail} />
                </span>
              </summary>
              <div class="problem-more">
                <p>
                  <Prose value={problem.detail} />
                </p>
                {problem.hint && (
                  <p class="muted">
                    <Prose value={problem.hint} />
                  </p>
                )}
                <span class="row-actions">
                  {problem.link && <a href={problem.link}>{words.look}</a>}
                  <Dismiss problemId={problem.id} />
                </span>
              </div>
            </details>
          </li>
        ))}
      </ul>
    </Card>
  );
}

const FAILED_OPERATION = 'operation.failed:';

/** A failed operation is named for a day, or until somebody took note of it. */
function Dismiss({ problemId }: { readonly problemId: string }) {
  if (!problemId.startsWith(FAILED_OPERATION) || !can('operation.cancel')) return null;
  const id = problemId.slice(FAILED_OPERATION.length);
  return (
    <Button
      isSmall
      kind="quiet"
      onClick={() => void api('POST /operations/{id}/dismiss', { params: { id } }).catch(showProblem)}
    >
      {words.dismiss}
    </Button>
  );
}

function HostCard({ host }: { readonly host: Host }) {
  const { usage } = host;
  const memoryRatio = usage && usage.memoryUsedBytes !== null ? usage.memoryUsedBytes / host.memoryBytes : null;
  return (
    <Card
      title={<a href="/hosts">{host.name}</a>}
      aside={
        <>
          {host.accel === 'tcg' && (
            <Badge tone="warn" title={text.badges.tcgHint}>
              {text.badges.tcg}
            </Badge>
          )}
          <ActiveMark state={host.state} />
        </>
      }
    >
      {usage ? (
        <div class="gauges">
          <div class="gauge">
            <span class="gauge-name">{words.cpu}</span>
            <Sparkline label={words.cpuHistory} values={usage.history.cpuRatio} max={1} series={1} />
            <span class="gauge-value">{percentText(usage.cpuRatio)}</span>
          </div>
          <div class="gauge">
            <span class="gauge-name">{words.memory}</span>
            <Sparkline label={words.memoryHistory} values={usage.history.memoryRatio} max={1} series={2} hasArea />
            <span class="gauge-value">{percentText(memoryRatio)}</span>
          </div>
          {usage.filesystems.map((fs) => (
            <div class="gauge" key={fs.mount} title={`${fs.mount}: ${fs.purpose}`}>
              <span class="gauge-name">{filesystemName(fs.purpose)}</span>
              <Meter
                ratio={fs.sizeBytes > 0 ? fs.usedBytes / fs.sizeBytes : null}
                label={filesystemName(fs.purpose)}
                warnAt={0.85}
                value={words.free(bytesText(fs.sizeBytes - fs.usedBytes))}
              />
            </div>
          ))}
          <p class="muted small">{words.hostNote(host.cpus, bytesText(host.memoryBytes), usage.load1)}</p>
        </div>
      ) : (
        <p class="muted">{words.noUsage}</p>
      )}
    </Card>
  );
}

const STATE_ORDER: readonly string[] = Object.keys(text.vmStates);
const MOST_DOTS = 160;
const MOST_RUNNING = 6;
const ON_STATES = ['running', 'idle'];

function VmsCard({ data }: { readonly data: Overview }) {
  const { vms } = data;
  if (vms.total === 0)
    return (
      <Card title={text.pages.vms}>
        <NoVms />
      </Card>
    );
  const states = Object.entries(vms.byState)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => STATE_ORDER.indexOf(a) - STATE_ORDER.indexOf(b));
  const others = states
    .filter(([state]) => !ON_STATES.includes(state))
    .flatMap(([state, count]) => Array.from({ length: count }, () => state));
  const busiest = vms.running.toSorted((a, b) => (b.cpuRatio ?? -1) - (a.cpuRatio ?? -1)).slice(0, MOST_RUNNING);
  return (
    <Card title={<a href="/vms">{text.pages.vms}</a>} aside={<span class="muted">{words.total(vms.total)}</span>}>
      <p class="state-counts">
        {states.map(([state, count]) => (
          <a key={state} href={`/vms?state=${state}`}>
            <StateGlyph state={state} /> {count} {stateWord(state)}
          </a>
        ))}
      </p>
      {vms.total > MOST_RUNNING && (
        <p class="dots" aria-hidden="true">
          {vms.running.slice(0, MOST_DOTS).map((vm) => (
            <a key={vm.id} href={`/vms/${vm.id}`} tabIndex={-1} title={vm.name}>
              <Glyph tone="good" shape="dot" />
            </a>
          ))}
          {others.slice(0, Math.max(0, MOST_DOTS - vms.running.length)).map((state, index) => (
            <a key={`${state}${index}`} href={`/vms?state=${state}`} tabIndex={-1} title={stateWord(state)}>
              <StateGlyph state={state} />
            </a>
          ))}
        </p>
      )}
      {busiest.length > 0 && (
        <ul class="busiest">
          {busiest.map((vm) => (
            <li key={vm.id}>
              <a href={`/vms/${vm.id}`}>{vm.name}</a>
              <Meter ratio={vm.cpuRatio} label={words.cpuOf(vm.name)} />
              <span class="muted mono small">{bytesText(vm.memoryBytes)}</span>
              <span class="muted small up">{vm.startedAt ? <Since iso={vm.startedAt} /> : text.unknownValue}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function isVmState(state: string): state is keyof typeof text.vmStates {
  return state in text.vmStates;
}

function stateWord(state: string): string {
  return isVmState(state) ? text.vmStates[state] : state;
}

function StateGlyph({ state }: { readonly state: string }) {
  const [tone, shape] = isVmState(state) ? vmTone(state) : (['unknown', 'question'] as const);
  return <Glyph tone={tone} shape={shape} />;
}

const SHOWN_ALERTS = 6;

/** What fires, the newest first: the first look is for what just happened. */
function AlertsCard() {
  useEffect(() => alerts.ensure(), []);
  if (alerts.data.value === null) return null;
  const firing = firingAlerts.value.toSorted((a, b) => b.since.localeCompare(a.since));
  return (
    <Card
      title={<a href="/alerts">{text.pages.alerts}</a>}
      aside={firing.length > 0 && <span class="muted">{words.alerts(firing.length)}</span>}
      class="wide"
    >
      {firing.length === 0 ? (
        <p class="muted">{words.noAlerts}</p>
      ) : (
        <ul class="lately">
          {firing.slice(0, SHOWN_ALERTS).map((alert) => (
            <li key={alert.id}>
              <span class="muted when">
                <TimeAgo iso={alert.startedAt ?? alert.since} />
              </span>
              <a class="what" href={`/alerts/active/${encodeURIComponent(alert.id)}`}>
                {alert.entity.name}: {alert.rule.name}
              </a>
              <span class="muted who mono">{alert.valueText}</span>
              <SeverityMark severity={alert.severity} />
            </li>
          ))}
        </ul>
      )}
      {firing.length > SHOWN_ALERTS && <a href="/alerts">{words.moreAlerts(firing.length - SHOWN_ALERTS)}</a>}
    </Card>
  );
}

const SHOWN_OPERATIONS = 8;

function OperationsCard({ data }: { readonly data: Overview }) {
  return (
    <Card title={<a href="/operations">{words.lately}</a>} class="wide">
      {data.operations.length === 0 ? (
        <p class="muted">{text.operations.none}</p>
      ) : (
        <ul class="lately">
          {data.operations.slice(0, SHOWN_OPERATIONS).map((operation) => (
            <li key={operation.id}>
              <span class="muted when">
                <TimeAgo iso={operation.finishedAt ?? operation.createdAt} />
              </span>
              <a class="what" href={`/operations/${encodeURIComponent(operation.id)}`}>
                {operation.title}
              </a>
              <span class="muted who">{operation.actor}</span>
              <OperationMark state={operation.state} />
              {isOpen(operation) && <OperationProgress operation={operation} />}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
