import type { Finding } from './finding.ts';
import type { Ground } from './ground.ts';

/** `full` for figures; `small` only shows that the row runs, for the tests. */
export type Size = 'full' | 'small';

/** One row of the bench. It makes what it needs on the ground, takes it away again, and answers with its findings. */
export interface Row {
  /** As `npm run bench -- <name>`. */
  readonly name: string;
  /** Rows about one matter, run together as `npm run bench -- <group>`. */
  readonly group?: 'flows' | 'step-up';
  /** It takes long: it runs only when it is named. */
  readonly isOnRequest?: boolean;
  /** Its figures are another matter on another Temporal server. */
  readonly dependsOnServer: boolean;
  run(ground: Ground, size: Size, options?: RowOptions): Promise<readonly Finding[]>;
}

/** What the command line may say of a row. */
export interface RowOptions {
  /** How many identities `mass-revocation-growth` takes: a multiple of ten. */
  readonly subjects?: number;
}
