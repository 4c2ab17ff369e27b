/** The configuration file, `/etc/hyper-nixos/config.json`. Unknown keys are an error that names the nearest known one. */

import { z } from 'zod';
import { GIB, MIB } from '#kernel/units.ts';
import { alertsConfigSchema, isLoopbackHost, notificationsConfigSchema, secretsConfigSchema } from './alerts-config.ts';
import { LIMIT_NAMES } from './health-limits.ts';
import { pushTargetSchema } from './push-config.ts';

const addressAndPort = () => z.string().regex(/^(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, 'use ADDRESS:PORT');
const filePath = () => z.string().max(4096).regex(/^\//, 'use an absolute path');
const hostName = () =>
  z
    .string()
    .max(253)
    .regex(/^(?!\d+(\.\d+){3}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'use a host name in lower case');

/** Tokens and codes pass there, so only TLS will do; on this machine itself nothing can listen in. */
const secureUrl = () =>
  z
    .string()
    .max(1000)
    .refine((text) => {
      const url = URL.parse(text);
      const isHere = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url?.hostname ?? '');
      return url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isHere)) && url.username === '';
    }, 'use an https:// address');

const oidcProviderSchema = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, 'use lower-case letters, digits and dashes'),
  name: z.string().min(1).max(60).describe('as the button on the sign-in page says'),
  issuer: secureUrl().describe("the provider's issuer; it may be on a private address"),
  clientId: z.string().min(1).max(300),
  clientSecretFile: filePath()
    .optional()
    .describe('file with the client secret, readable by hyperd alone; absent = public client'),
  caFile: filePath()
    .optional()
    .describe("certificate authority (PEM) that the provider's certificate is checked against"),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/))
    .max(20)
    .default(['openid', 'profile']),
  groupsClaim: z.string().min(1).max(200).default('groups').describe('claim that lists the groups of the account'),
  groups: z
    .array(
      z.strictObject({
        group: z.string().min(1).max(300),
        role: z.string().min(1).max(64),
        scope: z
          .string()
          .regex(/^(all|(project|vm):.{1,100})$/, 'use all, project:NAME or vm:UUID')
          .default('all'),
      }),
    )
    .max(500)
    .default([])
    .describe('what members of a group may do; read anew at each sign-in'),
  autoCreate: z
    .boolean()
    .default(false)
    .describe('make a user for an account without one, when it is in at least one of the groups'),
});

export const configSchema = z.strictObject({
  listen: addressAndPort().default('127.0.0.1:8080').describe('address and port of the dashboard and API (HTTPS)'),
  publicNames: z
    .array(z.string().regex(/^[A-Za-z0-9.:[\]-]{1,253}$/))
    .default([])
    .describe(
      'further host names and addresses under which browsers reach this machine; they go into the certificate and the Host check',
    ),
  libvirtUri: z.string().max(500).default('qemu:///system'),
  accel: z
    .enum(['auto', 'tcg'])
    .default('auto')
    .describe(
      'auto = new VMs get KVM where a guest was seen to run under it; tcg = never KVM, and /dev/kvm is not tried',
    ),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
  images: z
    .strictObject({
      allowPrivateHosts: z
        .array(z.string().max(253))
        .default([])
        .describe('hosts on private or loopback addresses that downloads may reach, as host or host:port'),
      maxBytes: z
        .int()
        .min(1)
        .default(64 * GIB)
        .describe('largest image file'),
    })
    .prefault({}),
  trash: z.strictObject({ days: z.int().min(1).max(365).default(7) }).prefault({}),
  access: z
    .strictObject({
      authorizedKeys: z
        .record(
          z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use the name of a user'),
          z.array(z.string().max(20_000)).max(100),
        )
        .default({})
        .describe('SSH keys that sign users in, by the name of the user: lines as in a .pub file'),
      rpId: hostName()
        .optional()
        .describe(
          'host name that passkeys are bound to, when it is not the first of publicNames; passkeys made before stop working',
        ),
      oidc: z
        .array(oidcProviderSchema)
        .max(10)
        .default([])
        .refine((items) => new Set(items.map(({ id }) => id)).size === items.length, 'two providers have the same id'),
    })
    .prefault({}),
  accounting: z
    .strictObject({
      currency: z
        .string()
        .regex(/^[A-Z]{3}$/, 'use the three letters of ISO 4217, as EUR')
        .nullable()
        .default(null)
        .describe('currency of the prices; null = usage is shown without cost'),
      prices: z
        .strictObject({
          vcpuHour: z.number().min(0).default(0).describe('one vCPU of a running VM for an hour'),
          memoryGibHour: z.number().min(0).default(0).describe('one GiB of memory of a running VM for an hour'),
          diskGibHour: z.number().min(0).default(0).describe('one GiB of disk for an hour'),
          backupGibHour: z.number().min(0).default(0).describe('one GiB of backups for an hour'),
        })
        .prefault({}),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      rawDays: z.int().min(1).max(90).default(7).describe('figures are kept as they were measured for so long'),
      fiveMinuteDays: z.int().min(1).max(400).default(60).describe('lowest, mean and highest of five minutes'),
      hourDays: z.int().min(1).max(3650).default(730).describe('lowest, mean and highest of an hour'),
      maxBytes: z
        .int()
        .min(16 * MIB)
        .default(4 * GIB)
        .describe('largest history on disk, at most 5 % of its file system; the oldest goes first'),
      push: z
        .array(pushTargetSchema)
        .max(10)
        .default([])
        .refine(
          (items) => new Set(items.map(({ name }) => name)).size === items.length,
          'two targets have the same name',
        )
        .describe('where figures are sent at each measurement'),
      overNetwork: z
        .boolean()
        .default(false)
        .describe(
          'whether /metrics answers where `listen` is no loopback address; the sockets and a loopback address always do',
        ),
    })
    .prefault({}),
  health: z
    .strictObject({
      limits: z
        .partialRecord(
          z.enum(LIMIT_NAMES),
          z.strictObject({ warn: z.number().nullable().optional(), fail: z.number().nullable().optional() }),
        )
        .default({})
        .describe(
          'from where on checks warn and fail, by the name of the limit (see the list of health checks); null = never',
        ),
    })
    .prefault({}),
  healing: z
    .strictObject({
      restartDelaysSeconds: z
        .array(z.int().min(1).max(86_400))
        .min(1)
        .max(10)
        .default([10, 30, 120, 600])
        .describe('how long a crashed VM waits for its first restart in an hour, the second, and so on'),
      restartsPerHour: z.int().min(1).max(20).default(5).describe('after so many a person is told instead'),
      services: z
        .array(
          z
            .string()
            .regex(/^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.service$/, 'use the name of a unit, as chrony.service'),
        )
        .max(50)
        .default([
          'virtlogd.service',
          'virtlockd.service',
          'libvirtd.service',
          'virtqemud.service',
          'virtnetworkd.service',
          'virtstoraged.service',
          'virtnodedevd.service',
        ])
        .describe(
          'units of systemd that `service-start` may start when they failed; those that are not there are left out',
        ),
    })
    .prefault({}),
  backups: z
    .strictObject({
      parallel: z.int().min(1).max(16).default(1).describe('so many VMs are backed up at once'),
      maxBytesPerSecond: z
        .int()
        .min(MIB)
        .nullable()
        .default(null)
        .describe('all backups together read no faster than this from the disks; null = as fast as they can'),
      guestSlowMs: z
        .int()
        .min(1)
        .max(60_000)
        .nullable()
        .default(50)
        .describe(
          "while the guest's requests to its disks take longer than this on average, its backup reads less at once; null = it never gives way",
        ),
      scrubDays: z
        .int()
        .min(1)
        .max(3650)
        .default(30)
        .describe(
          'a disk that was not read as a whole for so long is, so that what its change tracking missed is found',
        ),
      files: z
        .strictObject({
          parallel: z
            .int()
            .min(1)
            .max(16)
            .default(2)
            .describe('single files of so many restore points are read at once'),
          idleSeconds: z
            .int()
            .min(5)
            .max(3600)
            .default(120)
            .describe('what reads the file systems of a restore point ends when nothing was asked for so long'),
          maxDownloadGib: z.int().min(1).max(65_536).default(256).describe('most that one file or archive may hold'),
        })
        .prefault({}),
      state: z
        .strictObject({
          daily: z.int().min(1).max(1000).default(14),
          weekly: z.int().min(0).max(1000).default(8),
          monthly: z.int().min(0).max(1000).default(12),
        })
        .prefault({})
        .describe('of the state of this host the newest of so many days, weeks and months stays in each repository'),
    })
    .prefault({}),
  verification: z
    .strictObject({
      parallel: z
        .int()
        .min(1)
        .max(16)
        .nullable()
        .default(null)
        .describe('so many restore points are proven at once; null = one for each four processors, at least one'),
      maxMemoryMib: z.int().min(128).max(1_048_576).default(4096).describe('most memory of a test VM'),
      maxVcpus: z.int().min(1).max(64).default(2).describe('most virtual processors of a test VM'),
      checkFilesystems: z
        .boolean()
        .default(true)
        .describe('proofs check the file systems too, in a guest of their own that takes 700 MiB of memory'),
      rereadDays: z
        .int()
        .min(1)
        .max(365)
        .default(30)
        .describe('data that was read again in a proof is read again after so many days; new data always'),
      firstTimeoutSeconds: z
        .int()
        .min(10)
        .max(3600)
        .nullable()
        .default(null)
        .describe('how long the first test start of a VM is waited for; null = ten minutes, thirty without KVM'),
      stallSeconds: z
        .int()
        .min(10)
        .max(3600)
        .default(120)
        .describe('a test VM whose time is over and that shows nothing for so long has stalled'),
    })
    .prefault({}),
  alerts: alertsConfigSchema,
  notifications: notificationsConfigSchema,
  secrets: secretsConfigSchema,
  audit: z
    .strictObject({
      retentionDays: z.int().min(30).max(3650).default(400).describe('records older than this are removed'),
      legalHold: z.boolean().default(false).describe('true = nothing is removed, whatever its age'),
      mirrorFile: z
        .string()
        .regex(/^\/[^\0]{0,4000}$/, 'use an absolute path')
        .nullable()
        .default(null)
        .describe('a second copy as JSON lines, on another disk than the state folder; null = none'),
      syslog: z
        .strictObject({
          host: z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, 'use a host name or an address'),
          port: z.int().min(1).max(65_535).default(6514),
          caFile: z.string().describe('PEM of the authority that signed the certificate of the receiver'),
          serverName: z.string().max(253).optional().describe('name in that certificate, when it is not the host'),
          certFile: z.string().optional().describe('PEM of our certificate, when the receiver asks for one'),
          keyFile: z.string().optional().describe('its key'),
        })
        .nullable()
        .default(null)
        .describe('a receiver of syslog (RFC 5424) over TLS; null = none'),
      requireMirror: z
        .boolean()
        .default(false)
        .describe('true = no change while a mirror is behind or cannot be reached'),
      mirrorAlarm: z.int().min(1).default(5000).describe('records that a mirror may be behind before it is a problem'),
      breakGlass: z
        .boolean()
        .default(false)
        .describe('true = root may force a VM off over the admin socket although nothing can be recorded'),
    })
    .prefault({}),
  tls: z
    .strictObject({
      certificateFile: filePath()
        .optional()
        .describe('certificate of your own (PEM, with its chain); looked at again every 10 s'),
      keyFile: filePath().optional().describe('its private key, readable by hyperd alone'),
      redirectListen: addressAndPort()
        .optional()
        .describe('a second, plain HTTP port that only sends browsers on to HTTPS, as 0.0.0.0:80; ACME needs it'),
      acme: z
        .strictObject({
          directoryUrl: secureUrl().default('https://acme-v02.api.letsencrypt.org/directory'),
          agreeToTerms: z.literal(true, "set it to true when you agree to the authority's terms of service"),
          contact: z.array(z.email()).max(5).default([]).describe('e-mail addresses that the authority may write to'),
          names: z
            .array(hostName())
            .min(1)
            .max(50)
            .describe('host names to ask for; each must lead to port 80 of this machine'),
          caFile: filePath()
            .optional()
            .describe("certificate authority (PEM) that the ACME server's certificate is checked against"),
        })
        .optional()
        .describe('get the certificate from an ACME authority, as Let’s Encrypt'),
    })
    .prefault({})
    .refine(
      ({ certificateFile, keyFile }) => (certificateFile === undefined) === (keyFile === undefined),
      'certificateFile and keyFile go together',
    )
    .refine(
      ({ certificateFile, acme }) => certificateFile === undefined || acme === undefined,
      'use either certificateFile or acme',
    )
    .refine(
      ({ acme, redirectListen }) => acme === undefined || redirectListen !== undefined,
      'acme needs redirectListen, as 0.0.0.0:80',
    ),
  console: z.strictObject({ operatorSeesScreens: z.boolean().default(true) }).prefault({}),
});

export type ConfigFile = z.output<typeof configSchema>;

/** Where `/metrics` answers besides the sockets: on the loopback address that is listened on, on the network because somebody wants it so,
 *  or nowhere. */
export function metricsDoor({
  listen,
  metrics,
}: Pick<ConfigFile, 'listen' | 'metrics'>): 'loopback' | 'network' | 'closed' {
  if (isLoopbackHost(listen)) return 'loopback';
  return metrics.overNetwork ? 'network' : 'closed';
}
