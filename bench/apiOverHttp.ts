import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { TestInstallation } from '../test/setup/installation.ts';
import { installationApi } from '../test/setup/installationApi.ts';

export interface ApiOverHttp {
  /** A POST on a kept connection, as this person, with an Idempotency-Key of its own. @throws Error on any answer but 2xx */
  post(person: string, path: string, body: object): Promise<unknown>;
  close(): Promise<void>;
}

const unlimited = Number.MAX_SAFE_INTEGER;
export const noLimits = { perAddress: unlimited, perPrincipal: unlimited, analyses: unlimited, frequent: unlimited };

/**
 * The real API of an installation, with sign-in, logging and everything else; only its rate limits are off. Tokens are made
 * once and the connection is kept, so that a call costs its caller little.
 */
export async function apiOverHttp(installation: TestInstallation): Promise<ApiOverHttp> {
  const api = await installationApi(installation, { limits: noLimits });
  const agent = new Agent({ keepAlive: true });
  const tokens = new Map<string, string>();

  async function tokenOf(person: string): Promise<string> {
    const known = tokens.get(person);
    if (known !== undefined) return known;
    const token = await api.tokenOf(person);
    tokens.set(person, token);
    return token;
  }

  return {
    async post(person, path, body) {
      const text = JSON.stringify(body);
      const headers = {
        authorization: `Bearer ${await tokenOf(person)}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        'idempotency-key': randomUUID(),
      };
      const answer = await new Promise<{ status: number; text: string }>((resolve, reject) => {
        const call = request(`${api.address}${path}`, { agent, method: 'POST', headers }, (response) => {
          let received = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            received += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text: received }));
          response.on('error', reject);
        });
        call.on('error', reject);
        call.end(text);
      });
      if (answer.status >= 300) throw new Error(`POST ${path} was answered ${answer.status}: ${answer.text}`);
      return JSON.parse(answer.text);
    },
    async close() {
      agent.destroy();
      await api.close();
    },
  };
}
