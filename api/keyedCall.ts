import { createHash } from 'node:crypto';
import { canonicalJson } from '../domain/evidence/canonicalJson.ts';
import { claimCall, type EarlierCall, findCall, type KeyedCall } from '../ledger/idempotency.ts';
import type { Principal } from './auth/principal.ts';
import type { ApiDependencies } from './ports.ts';
import { Problem } from './problem.ts';

/** A write as its Idempotency-Key remembers it: operation, target and body together, so that one key names one act. */
export function keyedCall(
  operation: string,
  { principal, key, params, body }: { principal: Principal; key: string; params: object; body: object },
): KeyedCall {
  // Values that validation made (dates never, optional members sometimes) go through JSON: undefined is simply absent there.
  const canonical = canonicalJson(JSON.parse(JSON.stringify({ operation, params, body })));
  return { principal: principal.id, key, operation, bodyDigest: createHash('sha256').update(canonical).digest('hex') };
}

/** @throws Problem `key-reused` when the key stands for another call */
export async function earlierCall(
  { ledger }: Pick<ApiDependencies, 'ledger'>,
  call: KeyedCall,
): Promise<Exclude<EarlierCall, { kind: 'other' }>> {
  return refuseOther(await findCall(ledger.direct, call), call);
}

/** Binds the key to this call. @throws Problem `key-reused` when another call was first */
export async function bindKey({ ledger }: Pick<ApiDependencies, 'ledger'>, call: KeyedCall): Promise<void> {
  refuseOther(await claimCall(ledger.direct, call), call);
}

function refuseOther(earlier: EarlierCall, { key }: KeyedCall): Exclude<EarlierCall, { kind: 'other' }> {
  if (earlier.kind !== 'other') return earlier;
  throw new Problem(
    'key-reused',
    `The Idempotency-Key ${key} stands for an earlier call of yours with another target or body. Take a new key for a new call.`,
  );
}
