import { get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { AddressNotPublic, isPublicAddress, literalAddress, lookupPublic } from './publicAddresses.ts';

export interface FetchBounds {
  readonly timeoutMs: number;
  readonly largestBytes: number;
  /** Whether only addresses on the internet are called. */
  readonly isPublicOnly: boolean;
}

/**
 * What an address answers to a GET with 200, as JSON. By node:http, since `fetch` cannot be told how to resolve a name. No redirect is followed, and nothing is read past the bounds.
 * @throws whatever is wrong: nothing of it is of use but the cause
 */
export async function fetchJson(
  address: string,
  { timeoutMs, largestBytes, isPublicOnly }: FetchBounds,
): Promise<unknown> {
  const url = new URL(address);
  const literal = literalAddress(url);
  // An address is connected to as it is: no lookup is asked.
  if (isPublicOnly && literal !== undefined && !isPublicAddress(literal))
    throw new AddressNotPublic(`${literal} is not on the internet.`);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const get = url.protocol === 'https:' ? httpsGet : httpGet;
    const options = {
      // A connection of its own: one that is open already was not looked at.
      agent: false,
      headers: { accept: 'application/json, application/jwk-set+json' },
      signal: AbortSignal.timeout(timeoutMs),
      ...(isPublicOnly ? { lookup: lookupPublic } : {}),
    };
    get(url, options, resolve).on('error', reject);
  });
  try {
    if (response.statusCode !== 200) throw new Error(`${address} answered ${response.statusCode}`);
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of response) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > largestBytes) throw new Error(`${address} answers more than ${largestBytes} bytes`);
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } finally {
    response.destroy();
  }
}
