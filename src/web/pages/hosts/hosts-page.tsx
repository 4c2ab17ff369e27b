/** The host and what was checked on it: each check with what was found and what to do. */

import type { Check, Host } from '#contract/system.ts';
import { formatDuration } from '#kernel/units.ts';
import { Button } from '../../components/button.tsx';
import { bytesText, Meter, percentText, Since, TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { ActiveMark, CheckMark } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { hosts, preflight } from '../../state/library.ts';
import { follow, openOperations } from '../../state/operations.ts';
import { filesystemName, text } from '../../text.ts';

const words = text.hosts;

export function HostsPage() {
  const isChecking = openOperations.value.some((operation) => operation.kind.startsWith('preflight'));
  const check = () => void follow(api('POST /preflight'), { onDone: () => void preflight.reload(), isQuiet: true });
  return (
    <>
      <PageHead title={text.pages.hosts} />
      <div class="stack">
        <Loaded resource={hosts} lines={4}>
          {(known) => (
            <>
              {known.map((host) => (
                <HostCard key={host.id} host={host} />
              ))}
            </>
          )}
        </Loaded>
        <Card
          class="is-flush"
          title={words.checks}
          aside={
            <>
              {preflight.data.value && preflight.data.value.checks.length > 0 && (
                <span class="muted">
                  {text.overview.checked} <TimeAgo iso={preflight.data.value.checkedAt} />
                </span>
              )}
              {can('host.configure') && (
                <Button isSmall icon="reboot" isBusy={isChecking} onClick={check}>
                  {words.checkAgain}
                </Button>
              )}
            </>
          }
        >
          <Checks onCheck={check} />
        </Card>
      </div>
    </>
  );
}

function Checks({ onCheck }: { readonly onCheck: () => void }) {
  return (
    <Loaded resource={preflight}>
      {(found) =>
        found.checks.length === 0 ? (
          <EmptyState
            icon="host"
            title={words.neverChecked}
            action={
              can('host.configure') && (
                <Button kind="primary" onClick={onCheck}>
                  {words.check}
                </Button>
              )
            }
          >
            {words.neverCheckedNote}
          </EmptyState>
        ) : (
          <ul class="checks">
            {found.checks
              .toSorted((a, b) => ORDER[a.status] - ORDER[b.status])
              .map((check) => (
                <CheckLine key={check.id} check={check} />
              ))}
          </ul>
        )
      }
    </Loaded>
  );
}

/** What needs somebody comes first. */
const ORDER: Readonly<Record<Check['status'], number>> = { fail: 0, warn: 1, unknown: 2, ok: 3 };

function CheckLine({ check }: { readonly check: Check }) {
  return (
    <li>
      <CheckMark status={check.status} />
      <div>
        <p class="check-title">{check.title}</p>
        <p class="muted">
          <Prose value={check.detail} />
        </p>
        {check.hint && (
          <p class="small">
            <Prose value={check.hint} />
          </p>
        )}
      </div>
      <span class="muted small mono" title={check.id}>
        {formatDuration(check.durationMs) === '0 s'
          ? `${Math.round(check.durationMs)} ms`
          : formatDuration(check.durationMs)}
      </span>
    </li>
  );
}

function HostCard({ host }: { readonly host: Host }) {
  const { usage } = host;
  return (
    <Card
      title={<span class="mono">{host.name}</span>}
      aside={
        <>
          <ActiveMark state={host.state} />
          {host.state !== 'connected' && (
            <span class="muted">
              {words.since} <Since iso={host.since} />
            </span>
          )}
        </>
      }
    >
      <div class="columns">
        <Facts
          items={[
            [
              words.acceleration,
              <span key="a" class={host.accel === 'kvm' ? '' : 'tone-warn'}>
                {words.accelerations[host.accel]}
              </span>,
            ],
            [words.cpu, [host.cpuModel, text.vms.cpus(host.cpus)].filter(Boolean).join(' · ')],
            [text.overview.memory, bytesText(host.memoryBytes)],
            [
              words.versions,
              [
                host.libvirtVersion && `libvirt ${host.libvirtVersion}`,
                host.qemuVersion && `QEMU ${host.qemuVersion}`,
                host.kernel && `Linux ${host.kernel}`,
              ]
                .filter(Boolean)
                .join(' · ') || text.unknownValue,
            ],
            [words.uptime, host.uptimeSeconds === null ? text.unknownValue : formatDuration(host.uptimeSeconds * 1000)],
          ]}
        />
        {usage && (
          <div class="gauges">
            <div class="gauge">
              <span class="gauge-name">{text.overview.cpu}</span>
              <Meter ratio={usage.cpuRatio} label={text.overview.cpu} value={percentText(usage.cpuRatio)} />
            </div>
            <div class="gauge">
              <span class="gauge-name">{text.overview.memory}</span>
              <Meter
                ratio={usage.memoryUsedBytes === null ? null : usage.memoryUsedBytes / host.memoryBytes}
                label={text.overview.memory}
                warnAt={0.9}
                value={
                  usage.memoryUsedBytes === null
                    ? text.unknownValue
                    : text.overview.free(bytesText(host.memoryBytes - usage.memoryUsedBytes))
                }
              />
            </div>
            {usage.filesystems.map((fs) => (
              <div class="gauge" key={fs.mount} title={`${fs.mount}: ${fs.purpose}`}>
                <span class="gauge-name">{filesystemName(fs.purpose)}</span>
                <Meter
                  ratio={fs.sizeBytes > 0 ? fs.usedBytes / fs.sizeBytes : null}
                  label={filesystemName(fs.purpose)}
                  warnAt={0.85}
                  value={text.overview.free(bytesText(fs.sizeBytes - fs.usedBytes))}
                />
              </div>
            ))}
          </div>
        )}
      </div>
    </Card>
  );
}
