import { randomUUID } from 'node:crypto';
import { idFromKey } from '../../domain/ids.ts';
import { type ApiOverHttp, apiOverHttp } from '../apiOverHttp.ts';
import { bareClient, bareEffects, startBareWorker } from '../bare/worker.ts';
import { type Finding, rounded } from '../finding.ts';
import { benchInstallation } from '../installation.ts';
import { compared, quantile, rounds, timed } from '../rounds.ts';
import type { Row } from '../row.ts';

/**
 * POST /v1/identities, which answers when the request is open in the ledger and its workflow runs, against the raw client's
 * update-with-start of the bare workflow. One caller, the two in turns, call by call. Both park at their approval.
 */
export const startLatency: Row = {
  name: 'start-latency',
  dependsOnServer: true,
  async run(ground, size) {
    const { count, calls } = size === 'full' ? { count: 6, calls: 120 } : { count: 1, calls: 3 };
    const installation = await benchInstallation(ground);
    const api = await apiOverHttp(installation);
    const stops = [
      await installation.startWorker(),
      await startBareWorker(installation.place, bareEffects(installation)),
    ];
    const bare = await bareClient(installation.place);
    try {
      const pairs = await rounds({ count, say: ground.say, what: 'start latency' }, async () => {
        const [ofApi, ofBare]: [number[], number[]] = [[], []];
        for (let call = 0; call < calls; call += 1) {
          ofApi.push(await timed(() => onboard(api)));
          const identityId = idFromKey('identity', { principal: 'bench', key: randomUUID() });
          ofBare.push(await timed(() => bare.open({ identityId, approvals: 2 })));
        }
        return { subject: quantiles(ofApi), baseline: quantiles(ofBare) };
      });
      const finding = (name: 'p50' | 'p99', most: number): Finding => {
        const { ratio, spread, subject, baseline } = compared(pairs, name);
        return {
          what: `POST /v1/identities, ${name}`,
          value: ratio,
          unit: '×',
          budget: { is: 'at most', value: most },
          subject: `${rounded(subject)} ms`,
          baseline: `raw update-with-start: ${rounded(baseline)} ms`,
          spread,
        };
      };
      return [finding('p50', 1.15), finding('p99', 1.25)];
    } finally {
      await api.close();
      await bare.close();
      await Promise.all(stops.map((stop) => stop()));
      await installation.close();
    }
  },
};

function quantiles(samples: readonly number[]): { p50: number; p99: number } {
  return { p50: quantile(samples, 0.5), p99: quantile(samples, 0.99) };
}

function onboard(api: ApiOverHttp): Promise<unknown> {
  return api.post('requester', '/v1/identities', {
    kind: 'service-account',
    name: `orders ${randomUUID().slice(0, 13)}`,
    environment: 'production',
    owner: 'owner@tenure.example',
    purpose: 'Reads orders for the bench',
    scopes: ['read'],
    integration: 'payments',
    consumers: ['owner@tenure.example'],
    expiresAt: new Date(Date.now() + 30 * 86_400_000).toISOString(),
    issuer: 'main-db',
    store: 'sealed',
    justification: 'The bench wants it',
  });
}
