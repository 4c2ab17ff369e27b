/** Small choices kept in this browser. Storage may be switched off: then they last as long as the page. */

const PREFIX = 'hyper.';

export function readSetting(name: string): string | null {
  try {
    return window.localStorage.getItem(PREFIX + name);
  } catch {
    // Storage is blocked in this browser; the default serves.
    return null;
  }
}

export function writeSetting(name: string, value: string): void {
  try {
    window.localStorage.setItem(PREFIX + name, value);
  } catch {
    // Storage is blocked or full; the choice lasts as long as the page.
  }
}
