/** Are the programs there that VMs and images need? */

import { AppError } from '#kernel/errors.ts';
import { type CheckContext, type CheckDefinition, type Finding, fail, ok, unknown, warn } from '../check.ts';
import { QEMU_PROGRAM } from '../micro-guest.ts';

const install = (packageName: string) =>
  `Install it: \`apt-get install ${packageName}\`, or run \`./hv up\` which does.`;

/** What `program --version` prints first; `missing` when it is not installed. */
async function firstLine({ machine, signal }: CheckContext, argv: readonly string[]): Promise<string | 'missing'> {
  try {
    const { stdout, stderr } = await machine.run(argv, { timeoutMs: 10_000, signal });
    return (stdout || stderr).split('\n')[0]?.trim() ?? '';
  } catch (error) {
    if (error instanceof AppError && error.code === 'program_missing') return 'missing';
    throw error;
  }
}

/** Older ones lack the firmware descriptors and the block jobs that backups use. */
const OLDEST_QEMU = 6;

async function qemuBinary(context: CheckContext): Promise<Finding> {
  const line = await firstLine(context, [QEMU_PROGRAM, '--version']);
  if (line === 'missing') return fail('QEMU is not installed, so no VM can run.', install('qemu-system-x86'));
  const version = /version (\d+)(\.\d+)*/.exec(line);
  if (version === null)
    return unknown(
      `QEMU does not tell its version: ${line.slice(0, 200)}`,
      'Run `qemu-system-x86_64 --version` to see what is wrong with it.',
    );
  if (Number(version[1]) < OLDEST_QEMU)
    return warn(
      `${line} is older than what is tried (7.2).`,
      'Upgrade the distribution; VMs may work, backups may not.',
    );
  return ok(line);
}

interface Tool {
  readonly id: string;
  readonly title: string;
  readonly meaning: string;
  readonly argv: readonly string[];
  readonly packageName: string;
  readonly isNeeded: boolean;
  readonly without: string;
}

const TOOLS: readonly Tool[] = [
  {
    id: 'tools.qemu-img',
    title: 'qemu-img',
    meaning: 'Makes and inspects disk images. Without it no disk can be made.',
    argv: ['qemu-img', '--version'],
    packageName: 'qemu-utils',
    isNeeded: true,
    without: 'no disk can be made or inspected',
  },
  {
    id: 'tools.xorriso',
    title: 'xorriso',
    meaning: 'Writes the small ISO with which cloud images are set up (cloud-init).',
    argv: ['xorriso', '--version'],
    packageName: 'xorriso',
    isNeeded: false,
    without: 'cloud images cannot be set up (cloud-init)',
  },
  {
    id: 'tools.dnsmasq',
    title: 'dnsmasq',
    meaning: 'Gives guests on the NAT network their addresses.',
    argv: ['dnsmasq', '--version'],
    packageName: 'dnsmasq-base',
    isNeeded: false,
    without: 'guests on the NAT network get no address',
  },
];

function toolCheck(tool: Tool): CheckDefinition {
  return {
    id: tool.id,
    title: tool.title,
    meaning: tool.meaning,
    async run(context) {
      const line = await firstLine(context, tool.argv);
      if (line === 'missing')
        return (tool.isNeeded ? fail : warn)(
          `${tool.title} is not installed: ${tool.without}.`,
          install(tool.packageName),
        );
      return ok(line.slice(0, 200));
    },
  };
}

async function sandbox({ machine, signal }: CheckContext): Promise<Finding> {
  try {
    await machine.trySandbox(signal);
    return ok('A program ran in the sandbox, without network and without files.');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.code === 'program_missing')
      return fail(
        'The sandbox for files from strangers (bubblewrap) is not installed: images cannot be inspected.',
        install('bubblewrap util-linux'),
      );
    if (error.code === 'sandbox_unavailable') {
      return fail(
        'The sandbox for files from strangers does not start: images cannot be inspected.',
        'Allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1` (Debian) or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu 24.04).',
      );
    }
    throw error;
  }
}

async function swtpm(context: CheckContext): Promise<Finding> {
  const line = await firstLine(context, ['swtpm', '--version']);
  if (line === 'missing')
    return warn(
      'swtpm is not installed: VMs with a TPM (as Windows 11 wants) cannot be made.',
      install('swtpm swtpm-tools'),
    );
  if ((await firstLine(context, ['swtpm_setup', '--version'])) === 'missing')
    return warn('swtpm is installed, but swtpm_setup is not: VMs with a TPM cannot be made.', install('swtpm-tools'));
  return ok(line.slice(0, 200));
}

export const programChecks: readonly CheckDefinition[] = [
  { id: 'qemu.binary', title: 'QEMU', meaning: 'Whether QEMU is installed, and in which version.', run: qemuBinary },
  ...TOOLS.map(toolCheck),
  {
    id: 'sandbox.bwrap',
    title: 'Sandbox',
    meaning: 'A program is really run in the sandbox in which images from strangers are inspected.',
    run: sandbox,
  },
  { id: 'tpm.swtpm', title: 'Software TPM', meaning: 'Whether VMs can have a TPM.', run: swtpm },
];
