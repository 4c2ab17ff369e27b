/** Is there UEFI firmware for VMs? Read from the descriptors that QEMU's packages install and that libvirt chooses by. */

import { z } from 'zod';
import { type CheckContext, type CheckDefinition, type Finding, ok, warn } from '../check.ts';

/** Source: docs/interop/firmware.json of QEMU 7.2. A later folder hides a file of the same name in an earlier one. */
const FOLDERS = ['/usr/share/qemu/firmware', '/etc/qemu/firmware'];

/** NixOS: libvirt's module links QEMU's own share here. */
const NIX_FOLDER = '/run/current-system/sw/share/qemu/firmware';

const descriptorSchema = z.object({
  'interface-types': z.array(z.string()),
  mapping: z.object({
    executable: z.object({ filename: z.string() }).optional(),
    'nvram-template': z.object({ filename: z.string() }).optional(),
    filename: z.string().optional(),
  }),
  targets: z.array(z.object({ architecture: z.string(), machines: z.array(z.string()) })),
  features: z.array(z.string()),
});

async function uefi(context: CheckContext): Promise<Finding> {
  const { machine } = context;
  const paths = new Map<string, string>();
  for (const folder of [NIX_FOLDER, ...FOLDERS]) {
    for (const name of (await machine.list(folder)) ?? [])
      if (name.endsWith('.json')) paths.set(name, `${folder}/${name}`);
  }
  let usable = 0;
  const features = new Set<string>();
  const missing: string[] = [];
  for (const path of paths.values()) {
    const text = await machine.readText(path);
    // An empty file hides the one of the same name in an earlier folder.
    if (!text) continue;
    const descriptor = descriptorSchema.safeParse(parseJson(text));
    if (!descriptor.success || !descriptor.data['interface-types'].includes('uefi')) continue;
    if (
      !descriptor.data.targets.some(
        ({ architecture, machines }) => architecture === 'x86_64' && machines.some((name) => name.includes('q35')),
      )
    )
      continue;
    const { executable, 'nvram-template': template, filename } = descriptor.data.mapping;
    const files = [executable?.filename, template?.filename, filename].filter((file) => file !== undefined);
    const absent: string[] = [];
    for (const file of files) if ((await machine.facts(file)) === null) absent.push(file);
    if (absent.length > 0) missing.push(...absent);
    else {
      usable += 1;
      for (const feature of descriptor.data.features) features.add(feature);
    }
  }
  const hint = 'Install it: `apt-get install ovmf`, or run `./hv up` which does. VMs with BIOS work without it.';
  if (usable === 0)
    return warn(
      missing.length > 0
        ? `UEFI firmware is described, but its files are not there: ${missing.slice(0, 3).join(', ')}.`
        : 'There is no UEFI firmware for VMs.',
      hint,
    );
  const secureBoot = features.has('secure-boot')
    ? features.has('enrolled-keys')
      ? 'Secure Boot with enrolled keys is possible'
      : 'Secure Boot is possible, but no keys are enrolled'
    : 'no Secure Boot';
  return ok(`${usable} UEFI firmware ${usable === 1 ? 'variant' : 'variants'} for q35; ${secureBoot}.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A broken descriptor describes no firmware; libvirt skips it too.
    return null;
  }
}

export const firmwareChecks: readonly CheckDefinition[] = [
  {
    id: 'firmware.uefi',
    title: 'UEFI firmware',
    meaning: 'Whether VMs can start with UEFI, and with Secure Boot.',
    run: uefi,
  },
];
