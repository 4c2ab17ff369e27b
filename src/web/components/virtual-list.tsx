/** Draws only the rows of a long list that can be seen. The page's main area scrolls; every row has the same height. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

const SPARE_ROWS = 6;

interface VirtualListProps<Item> {
  readonly items: readonly Item[];
  readonly rowHeight: number;
  readonly keyOf: (item: Item) => string;
  readonly children: (item: Item, index: number) => ComponentChildren;
}

export function VirtualList<Item>({ items, rowHeight, keyOf, children }: VirtualListProps<Item>) {
  const element = useRef<HTMLDivElement>(null);
  const first = useSignal(0);
  const count = useSignal(30);

  useLayoutEffect(() => {
    const list = element.current;
    const scroller = list?.closest('[data-scroller]');
    if (!list || !scroller) return;
    const measure = () => {
      const above = scroller.getBoundingClientRect().top - list.getBoundingClientRect().top;
      first.value = Math.max(0, Math.floor(above / rowHeight) - SPARE_ROWS);
      count.value = Math.ceil(scroller.clientHeight / rowHeight) + 2 * SPARE_ROWS;
    };
    measure();
    scroller.addEventListener('scroll', measure, { passive: true });
    const sizes = new ResizeObserver(measure);
    sizes.observe(scroller);
    return () => {
      scroller.removeEventListener('scroll', measure);
      sizes.disconnect();
    };
  }, [rowHeight, first, count]);

  // A list that shrank under the user must not show an empty stretch.
  const from = Math.min(first.value, Math.max(0, items.length - count.value));
  return (
    <div ref={element} role="rowgroup" class="virtual-list" style={{ height: `${items.length * rowHeight}px` }}>
      {items.slice(from, from + count.value).map((item, offset) => (
        <div
          key={keyOf(item)}
          role="presentation"
          class="virtual-row"
          style={{ height: `${rowHeight}px`, transform: `translateY(${(from + offset) * rowHeight}px)` }}
        >
          {children(item, from + offset)}
        </div>
      ))}
    </div>
  );
}
