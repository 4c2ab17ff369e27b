/** How long things take. */

export async function timed<Value>(
  work: () => Promise<Value>,
): Promise<{ readonly value: Value; readonly seconds: number }> {
  const beginMs = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - beginMs) / 1000 };
}

/** Of this process and its threads, since its beginning. */
export function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
