import { drive } from './driver.ts';

/** `revocation/<identity>`: nothing of the identity is accepted or served any more, with receipts. What happens, and in which order, is in its flow and in domain/flow. */
export async function revocation(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}
