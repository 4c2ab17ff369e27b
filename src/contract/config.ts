/** The configuration file, `/etc/hyper-nixos/config.json`. Unknown keys are an error that names the nearest known one. */

import { z } from 'zod';
import { GIB } from '#kernel/units.ts';

export const configSchema = z.strictObject({
  listen: z
    .string()
    .regex(/^(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, 'use ADDRESS:PORT')
    .default('127.0.0.1:8080')
    .describe('address and port of the dashboard and API (HTTPS)'),
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
  console: z.strictObject({ operatorSeesScreens: z.boolean().default(true) }).prefault({}),
});

export type ConfigFile = z.output<typeof configSchema>;
