/** A graph as a table, for those who read numbers or cannot see lines. Long ones are thinned evenly; the CSV file has every value. */

import { text } from '../../text.ts';
import type { GraphData } from './graph-data.ts';
import { valueText } from './values.ts';

const MOST_ROWS = 60;
const timeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });

export function ValueTable({ data }: { readonly data: GraphData }) {
  const step = Math.max(1, Math.ceil(data.times.length / MOST_ROWS));
  const rows = data.times.map((_, index) => index).filter((index) => (data.times.length - 1 - index) % step === 0);
  return (
    <div class="table-scroll graph-table" tabIndex={0} role="region" aria-label={data.title}>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{text.graphs.time}</th>
            {data.lines.map((line) => (
              <th scope="col" key={line.id} class="number">
                {line.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.toReversed().map((index) => (
            <tr key={index}>
              <th scope="row">{timeFormat.format(data.times[index])}</th>
              {data.lines.map((line) => (
                <td key={line.id} class="number mono">
                  {valueText(line.values[index] ?? null, data.dimension)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
