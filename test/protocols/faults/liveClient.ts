import { setTimeout as wait } from 'node:timers/promises';
import type { TestInstallation } from '../../setup/installation.ts';
import { login } from './login.ts';
import { acknowledgeEpoch, servedNow } from './shapes.ts';

export interface LiveClient {
  /** Logins that were refused, in words; none is ever expected. */
  readonly refused: readonly string[];
  /** Under which epochs it logged in, oldest first. */
  epochs(): readonly number[];
  /** From now on it says what it uses, after each first login under a new epoch. */
  beginAcknowledging(): void;
  stop(): Promise<void>;
}

const betweenLoginsMs = 20;

/** A consumer that logs in again and again with whatever the store serves at that moment, and forgives nothing. */
export function liveClient(installation: TestInstallation, identityId: string): LiveClient {
  const refused: string[] = [];
  const epochs = new Set<number>();
  let isAcknowledging = false;
  let isEnding = false;
  const running = (async () => {
    while (!isEnding) {
      const served = await servedNow(installation, identityId);
      const answer = await login(installation, { identityId, ...served });
      if (answer === 'refused') refused.push(`${identityId}: version ${served.version} of epoch ${served.epoch}`);
      epochs.add(served.epoch);
      // Only the epoch that is recorded as served can be acknowledged; until then the ledger says no, and it asks again.
      if (isAcknowledging) await acknowledgeEpoch(installation, identityId, served.epoch);
      await wait(betweenLoginsMs);
    }
  })();
  return {
    refused,
    epochs: () => [...epochs],
    beginAcknowledging: () => {
      isAcknowledging = true;
    },
    async stop() {
      isEnding = true;
      await running;
    },
  };
}
