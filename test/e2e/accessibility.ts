/** What every page has to pass: no serious finding of axe. */

import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** Serious and critical findings, each with the first places where it is. */
export async function seriousFindings(where: Page): Promise<string[]> {
  // Through the debugger, because the page's policy rightly refuses a foreign script.
  await where.evaluate(axe.source);
  return where.evaluate(async () => {
    const { axe: inPage } = window as unknown as {
      axe: {
        run(
          where: Document,
          how: object,
        ): Promise<{ violations: { id: string; impact: string; nodes: { target: string[] }[] }[] }>;
      };
    };
    // A button that is on its way from pale to strong has no contrast to speak of; what goes round for ever is left.
    const passing = document
      .getAnimations()
      .filter(({ effect }) => effect?.getComputedTiming().iterations !== Number.POSITIVE_INFINITY);
    const late = new Promise((resolve) => setTimeout(resolve, 2_000));
    await Promise.race([late, Promise.allSettled(passing.map(({ finished }) => finished))]);
    const { violations } = await inPage.run(document, { resultTypes: ['violations'] });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(
        ({ id, nodes }) =>
          `${id}: ${nodes
            .map(({ target }) => target.join(' '))
            .slice(0, 3)
            .join(', ')}`,
      );
  });
}
