import { drive } from './driver.ts';

/** `onboarding/<identity>`: a new identity from request to first credential in its store. What happens, and in which order, is in its flow and in domain/flow. */
export async function onboarding(...requestIds: string[]): Promise<void> {
  await drive(...requestIds);
}
