import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { KeyedBy } from '../../domain/ids.ts';
import type { Answer, Caller } from './caller.ts';
import type { EventLog } from './eventLog.ts';
import type { Setting } from './lives.ts';
import type { Act } from './plan.ts';
import type { RequestKept, Story, Subject } from './story.ts';
import type { RequestView } from './views.ts';

/** A call that opens a request. */
export interface Asking {
  readonly principal: string;
  readonly path: string;
  readonly order: object;
  /** Words that are an answer too. */
  readonly refusals: readonly string[];
}

/** Opens a request, and keeps it. @returns undefined when it was refused, as it may be */
export async function askFor(
  setting: Setting,
  subject: Subject,
  act: Act | undefined,
  { principal, path, order, refusals }: Asking,
): Promise<RequestKept | undefined> {
  const key = newKey(setting, subject, act);
  return opened(setting, key, await setting.calls.write(principal, path, order, key), refusals);
}

const kinds = { onboard: 'onboarding', rotate: 'rotation', revoke: 'revocation', ask: 'step-up' } as const;

/** An Idempotency-Key for what the act asks for; no act is a review. */
export function newKey({ story }: Pick<Setting, 'story'>, subject: Subject, act: Act | undefined): string {
  const key = randomUUID();
  story.asked.set(key, { subject, act, what: act === undefined ? 'review' : kinds[act.what] });
  return key;
}

/** A request, or a step-up, which does not repeat whose it is. */
const Opened = z.object({ id: z.string(), identityId: z.string().optional() });
/** What a frozen agent is told of what it asked for before. */
const Frozen = z.object({ stepUpId: z.string() });

/** Keeps what was answered to the call with this key. A refusal is an answer where it is one of `refusals`. */
export function opened(
  { story, log }: Setting,
  key: string,
  answer: Answer,
  refusals: readonly string[],
): RequestKept | undefined {
  const asked = story.asked.get(key);
  if (asked === undefined) throw new Error(`Nothing was asked for under the key ${key}.`);
  const { subject, what } = asked;
  let id: string | undefined;
  if (answer.status === 202 || (what === 'step-up' && answer.status === 200)) {
    const request = Opened.parse(answer.body);
    id = request.id;
    subject.identityId = request.identityId ?? subject.identityId;
    log.count(`${what} opened`);
  } else {
    log.count(`${what} refused: ${answer.slug}`);
    if (!refusals.includes(answer.slug ?? ''))
      log.violation(`${what} of "${subject.life.name}" was refused: ${answer.status} ${answer.slug}: ${answer.detail}`);
    id = answer.slug === 'frozen' ? Frozen.safeParse(answer.body).data?.stepUpId : undefined;
    if (id !== undefined) log.count(`${what} known while frozen`);
  }
  if (id === undefined) return undefined;
  log.note(`${what} of ${subject.life.name} (${subject.identityId}) is request ${id}`);
  const kept = story.requests.get(id) ?? newlyKept(id, asked);
  story.requests.set(id, kept);
  return kept;
}

/**
 * Keeps the requests whose call was refused in the end though an earlier attempt under the same key was left without an
 * answer: that one may be carried out, before the refusal or after it. Nobody knows of such a request but by its key.
 */
export function keepUnsure(
  {
    calls: { written },
    story,
    log,
    idOf,
  }: {
    calls: Pick<Caller, 'written'>;
    story: Story;
    log: Pick<EventLog, 'count'>;
    /** The request that a call stands for, by the installation's key. */
    idOf: (call: KeyedBy) => string;
  },
  requests: readonly Pick<RequestView, 'id' | 'requester' | 'createdAt'>[],
): void {
  for (const { id, requester: principal, createdAt } of requests) {
    const [key, asked] = [...story.asked].find((each) => idOf({ principal, key: each[0] }) === id) ?? [];
    if (key === undefined || asked === undefined || story.requests.has(id)) continue;
    const sent = written.filter((write) => write.key === key);
    const isRefused = sent.every(({ answer }) => answer.status >= 400);
    // Who is frozen is told of what is there: to be told of nothing is an answer about all that went before.
    const wasToldOfNone = sent.some(({ answer, sentAtMs }) => answer.slug === 'frozen' && sentAtMs > createdAt);
    if (!isRefused || wasToldOfNone || !sent.some(({ isUnsure }) => isUnsure)) continue;
    log.count(`${asked.what} carried out without an answer`);
    story.requests.set(id, newlyKept(id, asked));
  }
}

function newlyKept(id: string, asked: Pick<RequestKept, 'subject' | 'what' | 'act'>): RequestKept {
  return { id, ...asked, decided: [], isCancelSent: false };
}
