import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** C2SP signed notes (c2sp.org/signed-note), Ed25519 only: the log's signature that anyone's tools can check. */
export interface NoteVerifier {
  readonly name: string;
  readonly keyId: Buffer;
  readonly publicKey: KeyObject;
}

/** The note or its key is not what it claims to be: nothing in it may be believed. */
export class NoteInvalid extends Error {
  override readonly name = 'NoteInvalid';
}

const ed25519Type = Buffer.of(0x01);
const signaturePrefix = '\u2014 ';
/** Verifiers must take at least 16 signatures; more than this is somebody wasting our time. */
const maximumSignatures = 100;

/** `text` (ending in a newline) signed by `name`: the whole note. Deterministic, since Ed25519 is. */
export function signNote(text: string, name: string, signingKey: KeyObject): string {
  requireText(text);
  const { keyId } = noteVerifier(name, signingKey);
  const signature = sign(null, Buffer.from(text, 'utf8'), signingKey);
  return `${text}\n${signaturePrefix}${name} ${Buffer.concat([keyId, signature]).toString('base64')}\n`;
}

/**
 * The text of a note that `verifier` signed; signatures of other keys are ignored, as the format demands.
 * @throws NoteInvalid when it is malformed, when the key's signature is wrong, or when the key has not signed it
 */
export function openNote(note: Uint8Array | string, verifier: NoteVerifier): string {
  const decoded = decodeNote(note);
  const split = decoded.lastIndexOf('\n\n');
  if (split < 0 || !decoded.endsWith('\n'))
    throw new NoteInvalid('The note has no signature block after an empty line.');
  const text = decoded.slice(0, split + 1);
  const lines = decoded.slice(split + 2, -1).split('\n');
  if (lines.length > maximumSignatures)
    throw new NoteInvalid(`The note has more than ${maximumSignatures} signatures.`);
  const ours = lines
    .map(parseSignatureLine)
    .filter(({ name, keyId }) => name === verifier.name && keyId.equals(verifier.keyId));
  if (ours.length === 0) throw new NoteInvalid(`The note is not signed by the key ${describe(verifier)}.`);
  for (const { signature } of ours) {
    if (!verify(null, Buffer.from(text, 'utf8'), verifier.publicKey, signature)) {
      throw new NoteInvalid(
        `The signature of ${describe(verifier)} does not fit the note: its text or its signature was changed.`,
      );
    }
  }
  return text;
}

/** The verifier of a key pair under a name. Takes the private key or the public one. */
export function noteVerifier(name: string, key: KeyObject): NoteVerifier {
  requireName(name);
  const { publicKey, raw } = publicPartOf(key);
  return { name, keyId: keyIdOf(name, raw), publicKey };
}

interface PublicPart {
  readonly publicKey: KeyObject;
  readonly raw: Buffer;
}

/** A key never changes, and the sealer asks for the public part of its own several times a second. */
const publicParts = new WeakMap<KeyObject, PublicPart>();

function publicPartOf(key: KeyObject): PublicPart {
  const known = publicParts.get(key);
  if (known !== undefined) return known;
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const part = { publicKey, raw: rawPublicKey(publicKey) };
  publicParts.set(key, part);
  return part;
}

/** `<name>+<key id>+<base64(type || key)>`: the note key that verifiers are given. */
export function formatVerifierKey({ name, keyId, publicKey }: NoteVerifier): string {
  return `${name}+${keyId.toString('hex')}+${Buffer.concat([ed25519Type, rawPublicKey(publicKey)]).toString('base64')}`;
}

/** Reads a note key; surrounding white space is ignored. @throws NoteInvalid saying what is wrong with it */
export function parseVerifierKey(text: string): NoteVerifier {
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text.trim());
  const [name, keyId, encoded] = match === null ? [] : match.slice(1);
  if (name === undefined || keyId === undefined || encoded === undefined) {
    throw new NoteInvalid('A note key reads <name>+<8 hex digits>+<base64>; this one does not.');
  }
  requireName(name);
  const key = decodeBase64(encoded);
  if (key?.length !== 33 || key[0] !== ed25519Type[0])
    throw new NoteInvalid(`The note key of ${name} is not an Ed25519 key.`);
  const raw = key.subarray(1);
  if (keyIdOf(name, raw).toString('hex') !== keyId)
    throw new NoteInvalid(`The note key of ${name} is damaged: its id does not fit.`);
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') },
    format: 'jwk',
  });
  return { name, keyId: keyIdOf(name, raw), publicKey };
}

function keyIdOf(name: string, rawKey: Buffer): Buffer {
  return createHash('sha256').update(`${name}\n`, 'utf8').update(ed25519Type).update(rawKey).digest().subarray(0, 4);
}

function rawPublicKey(publicKey: KeyObject): Buffer {
  const { crv, x } = publicKey.export({ format: 'jwk' });
  if (crv !== 'Ed25519' || x === undefined)
    throw new NoteInvalid('Notes are signed with an Ed25519 key; this key is of another kind.');
  return Buffer.from(x, 'base64url');
}

function describe({ name, keyId }: NoteVerifier): string {
  return `${name}+${keyId.toString('hex')}`;
}

function decodeNote(note: Uint8Array | string): string {
  const text = typeof note === 'string' ? note : decodeUtf8(note);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the format forbids them, so they must be looked for.
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text)) throw new NoteInvalid('The note contains control characters.');
  return text;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new NoteInvalid('The note is not valid UTF-8.', { cause: error });
  }
}

function parseSignatureLine(line: string): { name: string; keyId: Buffer; signature: Buffer } {
  const match = /^\u2014 ([^ ]+) (.+)$/.exec(line);
  const [name, encoded] = match === null ? [] : match.slice(1);
  const bytes = encoded === undefined ? undefined : decodeBase64(encoded);
  if (name === undefined || bytes === undefined || bytes.length < 5)
    throw new NoteInvalid('A signature line of the note is malformed.');
  return { name, keyId: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

/** RFC 4648 §4 and nothing else: `Buffer.from` alone would pass over what it cannot read. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function requireName(name: string): void {
  if (name === '' || !name.isWellFormed() || /[\p{White_Space}\p{Cc}+]/u.test(name)) {
    throw new NoteInvalid(
      `${JSON.stringify(name)} cannot name a note key: it must not be empty or hold spaces, control characters or a plus sign.`,
    );
  }
}

function requireText(text: string): void {
  decodeNote(text);
  if (!text.endsWith('\n') || !text.isWellFormed())
    throw new NoteInvalid('The text of a note must be well-formed and end in a newline.');
}
