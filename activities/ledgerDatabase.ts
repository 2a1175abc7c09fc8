import { z } from 'zod';

/** The ledger's database as an issuer or store of our own uses it: bounded in time, and its failures told apart. */

/** @throws NoAnswer when the database has not answered by then; what came of the call is unknown */
export async function within<T>(timeoutMs: number, call: Promise<T>): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new NoAnswer(`the ledger's database did not answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await Promise.race([call, expired]);
  } finally {
    clearTimeout(timer);
  }
}

class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** What Prisma's errors tell of the database: in `meta`, since one of raw SQL carries the same code whatever happened. */
const DriverError = z.object({
  meta: z.object({
    driverAdapterError: z.object({
      cause: z.object({
        kind: z.string(),
        originalCode: z.string().optional(),
        originalMessage: z.string().optional(),
      }),
    }),
  }),
});

/** Classes of SQLSTATE of a database that will answer the same again: login, database, rights, missing table or column. */
const refusalClasses: readonly string[] = ['28', '3D', '42'];

/** Why a call failed, without any value of it. `isRefused`: repeating it changes nothing until somebody mends the set-up. */
export function databaseFault(cause: unknown): { readonly reason: string; readonly isRefused: boolean } {
  const driver = DriverError.safeParse(cause).data?.meta.driverAdapterError.cause;
  if (driver === undefined) {
    const reason = cause instanceof NoAnswer ? cause.message : "the call to the ledger's database failed";
    return { reason, isRefused: false };
  }
  return {
    reason: `the ledger's database says ${driver.originalMessage ?? driver.kind}`,
    isRefused: refusalClasses.includes(driver.originalCode?.slice(0, 2) ?? ''),
  };
}
