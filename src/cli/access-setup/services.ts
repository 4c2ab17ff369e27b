/** What must be true before the machine is set up, and what has to learn of it afterwards: polkitd reads its rules by itself, libvirt's
 *  daemons are restarted (guests go on running). */

import { connect } from 'node:net';
import { join } from 'node:path';
import { EXIT } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { isThere, mustRun, textOf, tryRun } from './host.ts';

const refuse = (message: string, code: string, hint: string) =>
  new Failure(message, { exit: EXIT.conflict, code, hint });

const POLKITD = ['/usr/lib/polkit-1/polkitd', '/usr/libexec/polkitd', '/usr/lib/policykit-1/polkitd'];

/** Why it cannot be done here now, the first that is found; null when nothing stands against it. */
export async function obstacle(isUndo: boolean): Promise<Failure | null> {
  if (process.getuid?.() !== 0)
    return new Failure('this changes users and rules of the machine, so it needs root', {
      exit: EXIT.denied,
      code: 'not_root',
      hint: 'Run it with sudo.',
    });
  if (isUndo) return null;
  if (await isThere('/etc/NIXOS'))
    return refuse(
      'on NixOS users and rules come from the configuration',
      'nixos',
      'Declare them there; docs/guides/second-fence.md lists them.',
    );
  if (!(await Promise.all(POLKITD.map(isThere))).includes(true) || !(await isThere('/usr/bin/dbus-daemon')))
    return refuse('polkitd or D-Bus is not installed', 'program_missing', 'Install them: apt-get install polkitd dbus');
  const version = /(\d+)(?:\.(\d+))?/.exec((await tryRun('pkaction', '--version')).text);
  if (version && Number(version[1]) === 0 && Number(version[2]) < 106)
    return refuse(
      `polkit ${version[0]} knows no rule files`,
      'too_old',
      'Upgrade the distribution: Debian 12 and Ubuntu 24.04 have one that does.',
    );
  if ((await textOf('/etc/libvirt/libvirtd.conf')) === null && (await textOf('/etc/libvirt/virtqemud.conf')) === null)
    return refuse('libvirt is not installed', 'program_missing', 'Run ./hv up once: it installs what is missing.');
  return unreadable();
}

/** Why what concerns hyperd's own files cannot be done now, or null. */
export async function runningHyperd(runtimeDir: string): Promise<Failure | null> {
  if (!(await answers(join(runtimeDir, 'admin.sock')))) return null;
  return refuse(
    'hyperd runs, and its files would change hands',
    'busy',
    'Stop it first with `hv down`; guests go on running.',
  );
}

/** hyperd's user must be able to read the program. Asked of a user who has no rights at all. */
async function unreadable(): Promise<Failure | null> {
  const root = new URL('../../../', import.meta.url).pathname;
  const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--'];
  const main = join(root, 'src/daemon/main.ts');
  for (const argv of [
    [...asNobody, 'test', '-r', main],
    [...asNobody, process.execPath, '--version'],
  ]) {
    if ((await tryRun('setpriv', ...argv)).code !== 0)
      return refuse(
        `other users than root cannot read the program in ${root}`,
        'unreadable',
        'Put it where everybody may read, as /opt/hyper-nixos, and run it from there.',
      );
  }
  return null;
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Restarts the libvirt daemons that systemd runs. @returns what is left to do by hand, or null */
export async function restartLibvirt(): Promise<string | null> {
  if (!(await isThere('/run/systemd/system')))
    return 'No systemd here: libvirtd takes the rules when it is started anew (`hv down`, then `hv up`).';
  await mustRun('systemctl', 'daemon-reload');
  for (const daemon of [
    'libvirtd',
    'virtqemud',
    'virtnetworkd',
    'virtstoraged',
    'virtnodedevd',
    'virtsecretd',
    'virtnwfilterd',
    'virtinterfaced',
    'virtproxyd',
  ]) {
    const sockets: string[] = [];
    for (const unit of [`${daemon}.socket`, `${daemon}-ro.socket`, `${daemon}-admin.socket`])
      if ((await tryRun('systemctl', 'is-active', '--quiet', unit)).code === 0) sockets.push(unit);
    const isRunning = (await tryRun('systemctl', 'is-active', '--quiet', `${daemon}.service`)).code === 0;
    if (sockets.length === 0 && !isRunning) continue;
    // A socket is only made anew, with its new mode, when nobody listens on it.
    await mustRun('systemctl', 'stop', `${daemon}.service`, ...sockets);
    await mustRun('systemctl', 'start', ...(sockets.length > 0 ? sockets : [`${daemon}.service`]));
  }
  return null;
}
