import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_SERIAL_BYTES, type SerialSign, watchSerial } from './serial-watch.ts';

const signsOf = (text: string, marker: string | null = null): readonly SerialSign[] =>
  watchSerial(marker).feed(Buffer.from(text));

test('each kind of start is known by its line', () => {
  const rows: readonly (readonly [string, readonly SerialSign[]])[] = [
    ['[    0.000000] Linux version 6.1.0-18-amd64 (debian)\n', ['kernel']],
    ['\r\nDebian GNU/Linux 12 web1 ttyS0\r\n\r\nweb1 login: ', ['login']],
    ['[    1.9] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n', ['kernel_panic']],
    ['You are in emergency mode. After logging in, type "journalctl -xb"\n', ['emergency_mode']],
    ['Give root password for maintenance\n(or press Control-D to continue): ', ['emergency_mode']],
    ['ALERT!  UUID=1 does not exist.  Dropping to a shell!\n\n(initramfs) ', ['emergency_mode']],
    ['BdsDxe: No bootable option or device was found.\n', ['no_boot_device']],
    ['Boot failed: not a bootable disk\n', ['no_boot_device']],
    ['grub rescue> ', ['emergency_mode']],
    ['Freeing initrd memory\npanic: runtime error: nil map in a service\nReached target Emergency shutdown.\n', []],
  ];
  for (const [text, signs] of rows) assert.deepEqual(signsOf(text), signs, text);
});

test('firmware that places each letter is read like a line', () => {
  const text = [...'No bootable device.'].map((char, at) => `\u001b[10;${at + 1}H${char}`).join('');
  assert.deepEqual(signsOf(text), ['no_boot_device']);
});

test('the marker of the owner is a text, not a pattern, and is told once', () => {
  const watch = watchSerial('ready (a+)+$');
  assert.deepEqual(watch.feed(Buffer.from('aaaaaaaaaaaaaaaaaaaaaaaaa ready aaaa')), []);
  assert.deepEqual(watch.feed(Buffer.from('\nready (a+)+$\n')), ['marker']);
  assert.deepEqual(watch.feed(Buffer.from('\nready (a+)+$\n')), []);
});

test('wherever the line is cut into pieces, the same is seen and kept', () => {
  const bytes = Buffer.from(
    '\u001b[2J\u001b]0;title\u0007 Linux version 6\nKernel panic - not syncing: ä\nweb1 login: ',
  );
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 })), (sizes) => {
      const watch = watchSerial(null);
      let at = 0;
      for (const size of [...sizes, bytes.length]) {
        watch.feed(bytes.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual([...watch.seen].sort(), ['kernel', 'kernel_panic', 'login']);
      assert.equal(watch.text(), ' Linux version 6\nKernel panic - not syncing: ä\nweb1 login: ');
    }),
  );
});

test('whatever a guest prints, only text is kept, and no more than a quarter of a MiB', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 40 }), (pieces) => {
      const watch = watchSerial(null);
      for (const piece of pieces) watch.feed(piece);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is asserted
      assert.doesNotMatch(watch.text(), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }),
  );
  const flood = watchSerial(null);
  const line = Buffer.alloc(100_000, 'x');
  for (let n = 0; n < 100; n += 1) flood.feed(line);
  assert.equal(flood.totalBytes, 10_000_000);
  assert.ok(flood.text().length <= MAX_SERIAL_BYTES);
});

test('an escape sequence without an end hides no more than its first bytes', () => {
  const watch = watchSerial(null);
  watch.feed(Buffer.from(`\u001b]0;${'x'.repeat(200)}\nLinux version 6\n`));
  assert.ok(watch.seen.has('kernel'));
});
