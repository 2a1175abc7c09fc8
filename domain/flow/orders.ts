import type { EffectOrder, EffectOutcome } from './plan.ts';

/**
 * An order of an effect as the ledger keeps it: issued with a nonce, answered by the activity itself under that nonce. What
 * Temporal says of it is that an attempt ended, and nothing else is believed of it (DESIGN section 5, Outcomes).
 */
export interface OrderFacts {
  /** `effect:<stage>/<attempt>/<step>`. */
  readonly id: string;
  readonly nonce: string;
  readonly activity: EffectOrder['activity'];
  readonly input: EffectOrder['input'];
  /** Absent until the activity has recorded one. */
  readonly answer?: {
    readonly outcome: EffectOutcome;
    /** RFC 3339, the ledger's clock: before anything was asked of an issuer or a store. */
    readonly begunAt: string;
  };
  /** Of the last try that failed and may be repeated. For people: no rule reads it. */
  readonly lastFailure?: { readonly reason: string; readonly message: string };
}

/** `effect:<stage>/<attempt>.<nonce>/<step>`: the id under which a workflow carries an order out, and tells of its end. */
export function issuedId(id: string, nonce: string): string {
  const at = id.lastIndexOf('/');
  return `${id.slice(0, at)}.${nonce}${id.slice(at)}`;
}

/** The open order that a workflow tells of; undefined for one that was never issued, or is closed. */
export function orderOfEvent(open: readonly OrderFacts[], eventId: string): OrderFacts | undefined {
  return open.find(({ id, nonce }) => issuedId(id, nonce) === eventId);
}

/** What a step leaves of a request's orders. */
export interface OrderBook {
  /** As the workflow gets them: each id and input with its nonce. */
  readonly effects: readonly EffectOrder[];
  readonly issued: readonly OrderFacts[];
  /** Nonces under which nothing may be recorded any more. */
  readonly closed: readonly string[];
}

/**
 * What is wanted and open keeps its nonce, so that whoever asks again is told the same; what is wanted and not open is issued
 * under a fresh one; what is open and was told of, or is not wanted any more, or is wanted otherwise (another lease), is closed.
 * @param told the event of the step, when it was the end of an effect
 */
export function settleOrders(
  open: readonly OrderFacts[],
  wanted: readonly EffectOrder[],
  told: string | undefined,
  freshNonce: () => string,
): OrderBook {
  const kept = new Map(
    open
      .filter((order) => issuedId(order.id, order.nonce) !== told)
      .filter((order) => wanted.some((candidate) => isSame(order, candidate)))
      .map((order) => [order.id, order]),
  );
  const issued: OrderFacts[] = [];
  const effects = wanted.map((order) => {
    const known = kept.get(order.id);
    if (known !== undefined) return withNonce(order, known.nonce);
    const nonce = freshNonce();
    issued.push({ id: order.id, nonce, activity: order.activity, input: order.input });
    return withNonce(order, nonce);
  });
  const keptNonces = new Set([...kept.values()].map(({ nonce }) => nonce));
  return { effects, issued, closed: open.map(({ nonce }) => nonce).filter((nonce) => !keptNonces.has(nonce)) };
}

function withNonce(order: EffectOrder, nonce: string): EffectOrder {
  return { ...order, id: issuedId(order.id, nonce), input: { ...order.input, nonce } } as EffectOrder;
}

/** Inputs are flat. */
function isSame(order: OrderFacts, wanted: EffectOrder): boolean {
  if (order.id !== wanted.id || order.activity !== wanted.activity) return false;
  const was = new Map(Object.entries(order.input));
  const is = Object.entries(wanted.input);
  return was.size === is.length && is.every(([field, value]) => was.get(field) === value);
}

/** An order as a world without a ledger has it: issued, and answered at once. @param now RFC 3339 */
export function answeredOrder({ id, activity, input }: EffectOrder, outcome: EffectOutcome, now: string): OrderFacts {
  return { id, nonce: 'test', activity, input, answer: { outcome, begunAt: now } };
}
