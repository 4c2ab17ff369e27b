/** Takes secrets out of what strangers will read. Rather too much than too little: what looks like a secret by its name, its place or its form goes. */

const REMOVED = '[removed]';

const SECRET_NAME =
  /pass(word|wd|phrase|code)|^pass$|secret|token|credential|cookie|authorization|bearer|api_?key|private_?key|signing_?key|routing_?key|otp$|^pin$|nonce|challenge|signature|(user|network|meta)_?data|ticket|authorizedKeys|webhook/i;

/** `NAME=value`, `"name": "value"`, `Name: value`, inside a text. */
const SECRET_ASSIGNMENT =
  /((?:pass(?:word|wd|phrase)?|secret|token|credential|cookie|authorization|api[_-]?key|private[_-]?key|ticket)\w*\\?["']?\s*[:=]\s*)(?:(?:bearer|basic)\s+)?(?:[{[].*|\\?"(?:[^"\\]|\\[^"])*\\?"|'[^']*'|[^\s"',;}]+)/gi;
const PEM = /-----BEGIN [^-]+-----[\s\S]*?(?:-----END [^-]+-----|$)/g;
const BEARER = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+/gi;
/** Path, query and user of an address may each be the secret itself. */
const ADDRESS = /\b([a-z][a-z0-9+.-]*:\/\/)(?:[^\s/@"']*@)?([^\s/?#"'<>()]+)([/?#][^\s"'<>]*)?/gi;
const MAIL = /[A-Za-z0-9.!#$%&*+=?^_{|}~-]+@([A-Za-z0-9.-]+\.[A-Za-z]{2,})/g;
/** Long runs of what keys and tokens are made of. */
const RUN = /[A-Za-z0-9_+/=-]{20,}/g;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Ids of ours, as `op-01m8aqtwvth0se2c1ga8mh231c`: what happened cannot be followed without them. */
const OWN_ID = /^[a-z]{2,8}-[0-9a-hjkmnp-tv-z]{26}$/;
/** Words of a path or of a sentence with dashes: no run of more than twelve characters mixes letters and digits. */
const isTelling = (run: string) =>
  UUID.test(run) ||
  OWN_ID.test(run) ||
  run.split(/[-_/]/).every((part) => part.length <= 12 || /^[a-z]+$/.test(part) || OWN_ID.test(part));

export function scrubText(text: string): string {
  return text
    .replace(PEM, REMOVED)
    .replace(
      ADDRESS,
      (_all, scheme: string, host: string, rest?: string) =>
        `${scheme}${host}${rest === undefined || rest === '/' ? '' : '/…'}`,
    )
    .replace(BEARER, REMOVED)
    .replace(SECRET_ASSIGNMENT, `$1${REMOVED}`)
    .replace(MAIL, '…@$1')
    .replace(RUN, (run) => (isTelling(run) ? run : REMOVED));
}

const MAX_DEPTH = 12;

/** The same shape with texts scrubbed; whatever lies below a name that says it is a secret goes as a whole. */
export function scrub(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return scrubText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return REMOVED;
  if (Array.isArray(value)) return value.map((item) => scrub(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      scrubText(name),
      SECRET_NAME.test(name) && inner !== null && typeof inner !== 'boolean' ? REMOVED : scrub(inner, depth + 1),
    ]),
  );
}

/** A line of the log: JSON, or what a library printed. */
export function scrubLine(line: string): string {
  try {
    return JSON.stringify(scrub(JSON.parse(line)));
  } catch {
    // No JSON.
    return scrubText(line);
  }
}
