/** A number of bytes that may be in memory at once. Those who want more wait their turn. */

export class ByteBudget {
  readonly #limitBytes: number;
  readonly #waiting: { readonly bytes: number; resolve(): void; reject(error: Error): void }[] = [];
  #usedBytes = 0;
  #ended: Error | null = null;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Waits until there is room. What is larger than the limit gets it when nothing else is in memory. Rejects after `end`. */
  async take(bytes: number): Promise<void> {
    if (this.#ended) throw this.#ended;
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) this.#usedBytes += bytes;
    else await new Promise<void>((resolve, reject) => this.#waiting.push({ bytes, resolve, reject }));
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
    for (let next = this.#waiting[0]; next && this.#hasRoom(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#usedBytes += next.bytes;
      next.resolve();
    }
  }

  /** Nobody gets room any more. */
  end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }

  #hasRoom(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#limitBytes;
  }
}
