import { createHmac, createPublicKey, type KeyObject } from 'node:crypto';
import pg from 'pg';
import { chainStart, macHolds } from '../domain/evidence/macChain.ts';
import { pseudonym } from '../domain/evidence/pseudonym.ts';
import { NoteInvalid } from '../domain/evidence/signedNote.ts';
import type { DirectPool } from './direct.ts';
import type { EvidenceKeys } from './evidence.ts';
import { openOwnCheckpoint } from './evidenceLogs.ts';
import type { Statements } from './statements.ts';

/** Every key of an installation, by its file in the key directory. Closed: a key that is added is bound, or nothing compiles. */
export const keyNames = [
  'evidence-mac',
  'evidence-signing',
  'person-pseudonym',
  'fingerprint',
  'decision-signing',
  'payload-codec',
] as const;
export type KeyName = (typeof keyNames)[number];

/** The keys of a process: what it writes with first, then what it can still read (or is to write with soon). */
export type KeyIds = Readonly<Record<KeyName, readonly [writing: string, ...reading: string[]]>>;

/** What a process loads from its key directory. */
export interface HeldKeys {
  readonly evidenceMac: KeyObject;
  readonly evidenceSigning: KeyObject;
  readonly personPseudonym: KeyObject;
  readonly fingerprint: KeyObject;
  readonly decisionSigning: { readonly keyId: string };
  readonly decisionVerifying: ReadonlyMap<string, KeyObject>;
  readonly payload: { readonly writing: { readonly id: string }; readonly reading: ReadonlyMap<string, unknown> };
}

export function keyIdsOf(keys: HeldKeys): KeyIds {
  const { decisionSigning, decisionVerifying, payload } = keys;
  return {
    'evidence-mac': [secretKeyId('evidence-mac', keys.evidenceMac)],
    'evidence-signing': [keyIdOfSigning(keys.evidenceSigning)],
    'person-pseudonym': [secretKeyId('person-pseudonym', keys.personPseudonym)],
    fingerprint: [secretKeyId('fingerprint', keys.fingerprint)],
    'decision-signing': [decisionSigning.keyId, ...others(decisionVerifying, decisionSigning.keyId)],
    'payload-codec': [payload.writing.id, ...others(payload.reading, payload.writing.id)],
  };
}

/**
 * Whether other processes must know a key before one writes with it: what they cannot verify would be refused for good. What
 * Temporal stores is only waited for, so that one machine changes that key in one restart, as long as it still has the old one.
 */
const mustBeAnnounced: Readonly<Record<KeyName, boolean>> = {
  'evidence-mac': true,
  'evidence-signing': true,
  'person-pseudonym': true,
  fingerprint: true,
  'decision-signing': true,
  'payload-codec': false,
};

/** The key directory is not that of this ledger. Nothing was written, so that the rest of the installation goes on. */
export class KeysOfAnotherInstallation extends Error {
  override readonly name = 'KeysOfAnotherInstallation';
  constructor(name: KeyName, why: string) {
    super(
      `The key ${name} in this process's key directory is none of this ledger's: ${why}. Nothing was written. Copy the key ` +
        'directory of a process that runs (or its backup) here, without evidence-head; docs/operating.md, "Several processes".',
    );
  }
}

/** What a process may make in its key directory. */
export interface KeysToMake {
  /** All keys: only for a ledger with which nothing was ever done. */
  readonly create: boolean;
  /** The payload key, which installations from before it lack: only until the ledger knows its keys. */
  readonly createPayloadKey: boolean;
}

/** @throws the driver's error when the database cannot be reached: nothing is made then */
export async function keysToMake(databaseUrl: string): Promise<KeysToMake> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 5_000,
    query_timeout: 15_000,
  });
  await client.connect();
  try {
    const [hasEvidence, hasKeys] = [await hasRows(client, 'evidence_entry'), await hasRows(client, 'installation_key')];
    return { create: !hasEvidence && !hasKeys, createPayloadKey: !hasKeys };
  } finally {
    await client.end();
  }
}

/** @returns false, too, where there is no such table yet */
async function hasRows(client: pg.Client, table: 'evidence_entry' | 'installation_key'): Promise<boolean> {
  const { rows: there } = await client.query(`SELECT to_regclass('${table}') IS NOT NULL AS "is"`);
  if (there[0]?.is !== true) return false;
  const { rows: used } = await client.query(`SELECT EXISTS (SELECT 1 FROM "${table}") AS "is"`);
  return used[0]?.is === true;
}

/**
 * Effect: the ledger knows the keys of its installation from now on. The first process binds its own; on a ledger from before
 * that, only keys that fit what is in it. A reading key that nobody knows yet is coming, a writing one that is coming may write.
 * Idempotent, and safe when processes start at once.
 * @throws KeysOfAnotherInstallation: the process must not go on, since what it would write nobody could verify
 */
export async function bindKeys(direct: DirectPool, evidence: EvidenceKeys, held: KeyIds): Promise<void> {
  await direct.transaction(binding, async (tx) => {
    const rows = await tx.$queryRaw<{ name: string; keyId: string; state: string }[]>`
      SELECT "name", "keyId", "state" FROM "installation_key"`;
    const isKnown = (name: KeyName, id: string) => rows.some((row) => row.name === name && row.keyId === id);
    for (const name of keyNames) {
      if (!rows.some((row) => row.name === name)) await requireFits[name](tx, evidence, held[name]);
      else if (rows.some((row) => row.name === name && row.keyId === held[name][0] && row.state === 'retired'))
        throw new KeysOfAnotherInstallation(name, 'it was retired, and another has taken its place');
      else if (!(mustBeAnnounced[name] ? held[name].slice(0, 1) : held[name]).some((id) => isKnown(name, id)))
        throw new KeysOfAnotherInstallation(name, 'it has others, and this one was never announced');
    }
    const unknown = keyNames.flatMap((name) =>
      held[name].flatMap((id, place) =>
        isKnown(name, id) ? [] : [{ name, id, state: place === 0 ? 'active' : 'coming' }],
      ),
    );
    if (unknown.length === 0) return;
    await tx.$executeRaw`
      INSERT INTO "installation_key" ("name", "keyId", "state", "since")
      SELECT "name", "keyId", "state", clock_timestamp() FROM unnest(
        ${unknown.map(({ name }) => name)}::text[], ${unknown.map(({ id }) => id)}::text[], ${unknown.map(({ state }) => state)}::text[]
      ) AS held("name", "keyId", "state")`;
  });
}

const bindingLock = 7_305_808_869_231_005n;
const binding = `BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(${bindingLock})::text`;

type Fit = (tx: Statements, evidence: EvidenceKeys, ids: readonly string[]) => Promise<void>;

/** How a key is known to be that of a ledger which never recorded it. What leaves no trace in the ledger is bound as found. */
const requireFits: Readonly<Record<KeyName, Fit>> = {
  async 'evidence-mac'(tx, { macKey }) {
    const entries = await tx.$queryRaw<
      { position: number; body: string; mac: Uint8Array; previousMac: Uint8Array | null }[]
    >`
      SELECT entry."position", entry."body", entry."mac", previous."mac" AS "previousMac" FROM "evidence_entry" AS entry
      LEFT JOIN "evidence_entry" AS previous
        ON previous."chain" = entry."chain" AND previous."position" = entry."position" - 1
      ORDER BY entry."id" DESC LIMIT 20`;
    const fits = entries.some(({ position, body, mac, previousMac }) =>
      macHolds(macKey, position === 0 ? chainStart : (previousMac ?? chainStart), body, mac),
    );
    if (entries.length > 0 && !fits)
      throw new KeysOfAnotherInstallation('evidence-mac', 'the newest evidence does not fit it');
  },
  async 'evidence-signing'(tx, evidence) {
    const [newest] = await tx.$queryRaw<{ note: string }[]>`
      SELECT "note" FROM "evidence_checkpoint" ORDER BY "size" DESC LIMIT 1`;
    if (newest === undefined) return;
    try {
      openOwnCheckpoint(evidence, newest.note);
    } catch (error) {
      if (!(error instanceof NoteInvalid)) throw error;
      throw new KeysOfAnotherInstallation('evidence-signing', 'it did not sign the newest checkpoint');
    }
  },
  async 'person-pseudonym'(tx, { personKey }) {
    const opened = await tx.$queryRaw<{ person: string; actor: string }[]>`
      SELECT r."requesterId" AS "person", e."body"::json ->> 'actor' AS "actor"
      FROM (SELECT "id", "requesterId" FROM "request" ORDER BY "createdAt" DESC LIMIT 50) AS r
      JOIN "evidence_entry" AS e ON e."requestId" = r."id" AND e."chain" = 'request/' || r."id" AND e."position" = 0
      WHERE e."body"::json ->> 'actor' ~ '^p_[0-9a-f]{32}$' AND r."requesterId" LIKE '%@%'`;
    if (opened.length > 0 && !opened.some(({ person, actor }) => pseudonym(personKey, person) === actor))
      throw new KeysOfAnotherInstallation(
        'person-pseudonym',
        'nobody who asked for anything has this pseudonym in the evidence',
      );
  },
  async 'decision-signing'(tx, _evidence, ids) {
    const [newest] = await tx.$queryRaw<{ keyId: string }[]>`
      SELECT "keyId" FROM "decision" ORDER BY "decidedAt" DESC LIMIT 1`;
    if (newest !== undefined && !ids.includes(newest.keyId))
      throw new KeysOfAnotherInstallation(
        'decision-signing',
        `the newest decision was signed by ${newest.keyId}, which is not among them`,
      );
  },
  fingerprint: async () => {},
  'payload-codec': async () => {},
};

/** The id of an evidence key, as the ledger records it. */
export function keyIdOfSigning(signingKey: KeyObject): string {
  return secretKeyId('evidence-signing', publicBytes(signingKey));
}

/** Tells keys apart and gives nothing of them away. */
function secretKeyId(name: KeyName, key: KeyObject | Buffer): string {
  return createHmac('sha256', key).update(`tenure/key-id\0${name}`).digest('hex').slice(0, 16);
}

function publicBytes(signingKey: KeyObject): Buffer {
  return createPublicKey(signingKey).export({ type: 'spki', format: 'der' });
}

function others(keys: ReadonlyMap<string, unknown>, writing: string): string[] {
  return [...keys.keys()].filter((id) => id !== writing);
}
