/**
 * Repeats a transaction of the ledger as its callers do: Temporal a local activity, a client its POST. One that was ended
 * for a freeze, or took too long on a busy machine, rolls back; with the same key or event it is made again.
 */
export async function repeated<T>(work: () => Promise<T>, attempts = 10): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (attempts === 1) throw error;
    return repeated(work, attempts - 1);
  }
}
