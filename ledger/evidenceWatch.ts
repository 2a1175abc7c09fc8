import type { DirectPool } from './direct.ts';

/** What is watched: that new evidence is sealed, and that sealed evidence is still what was sealed. */
export const watchedParts = ['sealing', 'verification'] as const;
export type WatchedPart = (typeof watchedParts)[number];

/** Keeps what was found last, in the ledger for `/readyz` and issuance, and in this process for its own metrics. */
export interface Watch {
  readonly part: WatchedPart;
  /** A look that found nothing wrong. */
  ok(): Promise<void>;
  failed(error: unknown): Promise<void>;
  /** By what this process saw itself, whatever the database says. */
  isFailing(): boolean;
}

/** What goes on well is written this often: often enough that its absence shows within a minute. */
const heartbeatMs = 10_000;

/**
 * @param onError told when the ledger could not be told; the look itself goes on
 */
export function evidenceWatch(
  { direct }: { direct: Pick<DirectPool, '$executeRaw'> },
  part: WatchedPart,
  onError: (error: unknown) => void,
): Watch {
  let failing = false;
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return {
    part,
    isFailing: () => failing,
    async ok() {
      if (!failing && performance.now() - saidAtMs < heartbeatMs) return;
      failing = false;
      saidAtMs = performance.now();
      await direct.$executeRaw`
        INSERT INTO "evidence_watch" ("part", "okAt") VALUES (${part}, clock_timestamp())
        ON CONFLICT ("part") DO UPDATE SET "okAt" = excluded."okAt", "failingSince" = NULL, "error" = NULL, "detail" = NULL`.catch(
        onError,
      );
    },
    async failed(error) {
      failing = true;
      const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
      await direct.$executeRaw`
        INSERT INTO "evidence_watch" ("part", "failingSince", "error", "detail")
        VALUES (${part}, clock_timestamp(), ${name}, ${message})
        ON CONFLICT ("part") DO UPDATE SET "error" = excluded."error", "detail" = excluded."detail",
          "failingSince" = coalesce("evidence_watch"."failingSince", excluded."failingSince")`.catch(onError);
    },
  };
}
