import { Option } from 'commander';
import { z } from 'zod';
import { CommandFailed } from './exitCodes.ts';

/** Where the API is, and who asks. */
export interface ApiAccess {
  /** `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly token: string;
}

const answerWithinMs = 30_000;
const problemDocument = z.object({ detail: z.string() });

/** `--url` and `--token`, or TENURE_URL and TENURE_TOKEN. @param whose of whom the token must be, for the help */
export function accessOptions(whose: string): readonly [Option, Option] {
  return [
    new Option('--url <url>', 'the API').env('TENURE_URL').default('http://127.0.0.1:8080'),
    new Option('--token <token>', `an access token of ${whose}`).env('TENURE_TOKEN').makeOptionMandatory(),
  ];
}

/** @throws CommandFailed `usage` when `--url` is no URL */
export function requireUrl(url: string): void {
  if (!URL.canParse(url)) throw new CommandFailed('usage', `--url ${url} is not a URL.`);
}

/**
 * One call of the API, its answer through a schema. A POST needs its Idempotency-Key: the same key is the same act, however
 * often it is called.
 * @throws CommandFailed `unavailable` when nothing answers as Tenure's API does, or when it says no, with its detail
 */
export async function callApi<Schema extends z.ZodType>(
  { url, token }: ApiAccess,
  { path, post }: { path: string; post?: { body: object; key: string } },
  schema: Schema,
): Promise<z.output<Schema>> {
  const address = new URL(`${url.replace(/\/$/, '')}${path}`);
  const method = post === undefined ? 'GET' : 'POST';
  let answer: Response;
  let body: unknown;
  try {
    answer = await fetch(address, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        ...(post === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': post.key }),
      },
      ...(post === undefined ? {} : { body: JSON.stringify(post.body) }),
      // A redirect would carry the token to wherever it points.
      redirect: 'error',
      signal: AbortSignal.timeout(answerWithinMs),
    });
    body = await answer.json();
  } catch (cause) {
    throw new CommandFailed(
      'unavailable',
      `${address.origin} does not answer as Tenure's API does. Check --url, and that it is running.`,
      { cause },
    );
  }
  if (!answer.ok) {
    const problem = problemDocument.safeParse(body);
    const detail = problem.success ? problem.data.detail : 'It did not say why.';
    throw new CommandFailed(
      'unavailable',
      `The API answered ${answer.status} to ${method} ${address.pathname}. ${detail}`,
    );
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new CommandFailed(
    'unavailable',
    `The API's answer to ${method} ${address.pathname} is not of this version of Tenure. Use the same version on both sides.`,
    { cause: parsed.error },
  );
}
