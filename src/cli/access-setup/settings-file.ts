/** Our settings in a configuration file of libvirt (`key = value`, `#` comments): one marked block at its end, and the lines that it
 *  replaces switched off. Taking them out gives the file back as it was, with whatever else was edited meanwhile. Pure text. */

export type Settings = Readonly<Record<string, string>>;

const BEGIN = '# hyper-nixos begin: made by `hv system access-setup`, taken out by its --undo';
const END = '# hyper-nixos end';
const OFF = '#hyper-nixos off: ';

/** @param settings values as libvirt writes them, strings with their quotes */
export function withSettings(text: string, settings: Settings): string {
  const clean = withoutSettings(text);
  const isReplaced = (line: string) => {
    const key = /^\s*([a-z_]+)\s*=/.exec(line)?.[1];
    return key !== undefined && Object.hasOwn(settings, key);
  };
  const lines = clean.split('\n').map((line) => (isReplaced(line) ? OFF + line : line));
  const block = [BEGIN, ...Object.entries(settings).map(([key, value]) => `${key} = ${value}`), END];
  return `${lines.join('\n')}${clean === '' || clean.endsWith('\n') ? '' : '\n'}${block.join('\n')}\n`;
}

export function withoutSettings(text: string): string {
  const begin = text.indexOf(BEGIN);
  if (begin === -1) return text;
  const end = text.indexOf(`${END}\n`, begin);
  const rest = end === -1 ? '' : text.slice(end + END.length + 1);
  return (text.slice(0, begin) + rest)
    .split('\n')
    .map((line) => (line.startsWith(OFF) ? line.slice(OFF.length) : line))
    .join('\n');
}
