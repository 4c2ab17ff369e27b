/** Text of an event stream in, events out; knows nothing of the network. (WHATWG HTML, server-sent events, "interpreting an event stream") */

export interface StreamEvent {
  readonly name: string;
  readonly data: string;
}

/** Returns the function that takes the next piece of text; pieces may be torn anywhere.
 *  @param tellId told each id, that of an event before the event; it may also stand alone */
export function createEventParser(
  emit: (event: StreamEvent) => void,
  tellId: (id: string) => void,
): (chunk: string) => void {
  let rest = '';
  let name = '';
  let id = '';
  let data: string[] = [];
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (line === '') {
        if (id !== '') tellId(id);
        if (data.length > 0) emit({ name: name || 'message', data: data.join('\n') });
        name = '';
        id = '';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') name = value;
      else if (field === 'id') id = value;
      else if (field === 'data') data.push(value);
    }
  };
}
