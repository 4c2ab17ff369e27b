/** What one suite comes to. */

export interface NotRun {
  readonly what: string;
  readonly why: string;
}

export interface FileTime {
  /** From the project's folder. */
  readonly file: string;
  readonly durationMs: number;
}

export interface SuiteResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  /** Tests that said `skip`, and files that could not run here. */
  readonly skipped: number;
  readonly durationMs: number;
  /** Lines that tests print as `# count: …`: how many of how many cases ran. */
  readonly counts: readonly string[];
  /** How long each file took; empty for checks. */
  readonly files: readonly FileTime[];
  readonly notRun: readonly NotRun[];
  /** Names of what failed, each with its reason. */
  readonly failures: readonly string[];
}
