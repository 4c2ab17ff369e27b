/** What the running guests of a private libvirtd are at, as text: for a test that waited for one in vain. */

import { run } from '#platform/process.ts';
import type { PrivateLibvirtd } from './libvirtd.ts';

/** VGA's text memory: 80 × 25 characters, each followed by its colour. Holds what firmware and boot loader wrote last. */
const TEXT_SCREEN = { address: 0xb8000, cells: 2_000 } as const;
const FIGURES = /^ +(state\.|cpu\.time|balloon\.current|net\.\d+\.[rt]x\.(bytes|drop)|block\.\d+\.(rd|wr)\.bytes)/;

/** Never rejects: what cannot be read is said in its place. */
export async function guestReport(libvirtd: PrivateLibvirtd): Promise<string> {
  const ask = async (...argv: readonly string[]): Promise<string> => {
    try {
      const { stdout, stderr } = await run(libvirtd.enter(argv), { timeoutMs: 20_000 });
      return `${stdout}${stderr}`.trim();
    } catch (error) {
      return String(error);
    }
  };
  const monitor = (name: string, command: string) => ask('virsh', 'qemu-monitor-command', name, '--hmp', command);
  const parts: string[] = [];
  const names = (await ask('virsh', 'list', '--name')).split('\n').filter((name) => name !== '');
  for (const name of names) {
    const figures = (await ask('virsh', 'domstats', name)).split('\n').filter((line) => FIGURES.test(line));
    const registers = await monitor(name, 'info registers');
    // Two looks a moment apart: a guest that spins stays where it is.
    const later = await monitor(name, 'info registers');
    parts.push(
      `guest ${name}: ${figures.map((line) => line.trim()).join(', ')}`,
      ...[registers, later].map((text) => text.split('\n').slice(0, 6).join('\n')),
      textOf(await monitor(name, `xp /${TEXT_SCREEN.cells}hx ${TEXT_SCREEN.address}`)),
    );
  }
  parts.push(await ask('ip', '-s', 'link'), await ask('virsh', 'net-dhcp-leases', 'default'));
  parts.push(await ask('nft', 'list', 'ruleset', 'bridge'));
  return parts.join('\n');
}

/** @param dump lines as `00000000000b8000: 0x0720 0x0741` */
function textOf(dump: string): string {
  const cells = [...dump.matchAll(/ 0x([0-9a-f]{4})/g)].map(([, word]) => Number.parseInt(word ?? '', 16) & 0xff);
  const text = cells.map((code) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : ' ')).join('');
  return (text.match(/.{80}/g) ?? [])
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .join('\n');
}
