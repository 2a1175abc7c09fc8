import { z } from 'zod';
import { signerPrincipal } from '../../domain/grantClaims.ts';
import { idPattern, personIdPattern } from '../../domain/ids.ts';

/** Fields that several resources share; each bound is also a line of the reference pages. */

export const Id = z
  .string()
  .regex(idPattern, 'must be an id: 26 characters of a-z and 2-7')
  .meta({ example: 'qsch47vxnzj47kmpqx6qtfacpi' });

/** No control characters: what approvers read in a terminal or a browser must be what was written. */
export const text = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .regex(
      /^[^\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u,
      'must not contain control characters or line breaks',
    );

export const slug = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    'must be 1 to 63 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter or digit',
  );

export const email = z.email().max(200).toLowerCase();

/** Resolved to one id by `api/namedPeople.ts`. */
export const person = z
  .union([email, z.string().regex(personIdPattern)], { error: 'must be an e-mail address, or the id of a person' })
  .meta({
    description:
      'A person, by an e-mail address or by id (GET /v1/people). An address is resolved to the id that has it, which is what is kept; one of several people is refused (`ambiguous-address`).',
    example: 'owner@example.com',
  });

export const Consumer = z
  .union([person, z.string().regex(/^pipeline:[a-z0-9][a-z0-9-]{0,62}$/), z.literal(signerPrincipal)], {
    error: `must be an e-mail address, the id of a person, pipeline:<name>, or ${signerPrincipal}`,
  })
  .meta({
    description: `A principal: an e-mail address, or \`pipeline:<name>\`; of an identity that signs grants, \`${signerPrincipal}\` alone.`,
    example: 'pipeline:deploy',
  });

/** Duplicates would count twice against a cap and twice in what approvers read. */
export const distinct = <T extends z.ZodType<string>>(item: T, most: number) =>
  z
    .array(item)
    .max(most)
    .refine((items) => new Set(items).size === items.length, 'must not name anything twice');

export const scopes = distinct(text(200), 200);
export const consumers = distinct(Consumer, 200);

export const Instant = z.iso
  .datetime({ offset: true })
  .meta({ description: 'RFC 3339.', example: '2027-01-31T12:00:00Z' });
export const Reason = text(2000).meta({
  description: 'Why; kept in the evidence.',
  example: 'Compromised build host, ticket 4711',
});

export const noParams = z.strictObject({});
export const noQuery = z.strictObject({});

/** Of a long-poll. */
export const longestWaitSeconds = 60;

/** Query values arrive as text. */
export const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(least).max(most));

export const pageQuery = {
  limit: wholeNumber(1, 200).optional().meta({ description: 'Items per page, 1 to 200; 50 unless given.' }),
  cursor: z.string().min(1).max(200).optional().meta({ description: '`nextCursor` of the page before.' }),
};

export const defaultPageLimit = 50;
