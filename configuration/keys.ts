import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freshSecretKey, KeysUnusable, readPrivateFile, readSecretKey, writeDurably } from './keyFiles.ts';
import { loadPayloadKeys, type PayloadKeys, payloadKeyFile } from './payloadKeys.ts';

/** The installation's own keys. `KeyObject`s print as nothing, so none can reach a log by accident. */
export interface Keys {
  /** HMAC-SHA-256: chains the evidence entries of one request. */
  readonly evidenceMac: KeyObject;
  /** Ed25519 (private): signs checkpoints. */
  readonly evidenceSigning: KeyObject;
  /** HMAC-SHA-256: a person's e-mail address in evidence is its keyed hash. */
  readonly personPseudonym: KeyObject;
  /** HMAC-SHA-256: tells two secrets apart without revealing either. */
  readonly fingerprint: KeyObject;
  /** Ed25519: the API signs decisions; `keyId` is stored with each. */
  readonly decisionSigning: { readonly keyId: string; readonly privateKey: KeyObject };
  /** Public keys by keyId of this and of earlier signing keys, so that old decisions stay verifiable. */
  readonly decisionVerifying: ReadonlyMap<string, KeyObject>;
  /** AES-256: what Temporal stores for us is encrypted. */
  readonly payload: PayloadKeys;
}

const secretFiles = {
  evidenceMac: 'evidence-mac.key',
  personPseudonym: 'person-pseudonym.key',
  fingerprint: 'fingerprint.key',
} as const;
const signingFiles = { evidenceSigning: 'evidence-signing.pem', decisionSigning: 'decision-signing.pem' } as const;
const verifyingDirectory = 'decision-verifying';
const keyFiles: readonly string[] = [...Object.values(secretFiles), ...Object.values(signingFiles)];

/**
 * Loads the installation's keys, or makes them all when there are none.
 * Keys appear together or not at all: a new directory is filled beside its place and renamed, so that of two processes
 * starting at once one wins and the other loads the winner's. A partial set is refused, never completed: a fresh
 * evidence key next to an old ledger would break every chain. The payload key alone may come later (`loadPayloadKeys`).
 * @param create false: missing keys are an error; true only for a ledger with which nothing was ever done
 * @param createPayloadKey the same of the payload key alone
 * @throws KeysUnusable when files are missing, malformed, or readable by other users
 */
export function loadKeys(
  directory: string,
  { create, createPayloadKey = create }: { create: boolean; createPayloadKey?: boolean },
): Keys {
  if (keyFiles.every((file) => !existsSync(join(directory, file)))) {
    if (!create)
      throw new KeysUnusable(
        `${directory} holds no keys, and this ledger has others already, so none are made. Copy the key directory of a process that runs, without evidence-head, or restore it from the backup.`,
      );
    createKeys(directory);
  }
  const missing = keyFiles.filter((file) => !existsSync(join(directory, file)));
  if (missing.length > 0)
    throw new KeysUnusable(
      `${directory} lacks ${missing.join(', ')}. Restore the whole directory from the backup; single keys are never made anew.`,
    );
  const privateKey = readEd25519(join(directory, signingFiles.decisionSigning));
  const keyId = keyIdOf(createPublicKey(privateKey));
  return {
    evidenceMac: readSecretKey(join(directory, secretFiles.evidenceMac)),
    personPseudonym: readSecretKey(join(directory, secretFiles.personPseudonym)),
    fingerprint: readSecretKey(join(directory, secretFiles.fingerprint)),
    evidenceSigning: readEd25519(join(directory, signingFiles.evidenceSigning)),
    decisionSigning: { keyId, privateKey },
    decisionVerifying: new Map([
      ...readVerifyingKeys(join(directory, verifyingDirectory)),
      [keyId, createPublicKey(privateKey)],
    ]),
    payload: loadPayloadKeys(directory, { create: createPayloadKey }),
  };
}

const nextEvidenceFile = 'evidence-signing.next';

/** The key that is to succeed the evidence key. @throws KeysUnusable when it is not there, or is not the owner's alone */
export function nextEvidenceKey(directory: string): KeyObject {
  const path = join(directory, nextEvidenceFile);
  if (!existsSync(path))
    throw new KeysUnusable(
      `${path} is not there. Make the new key first: openssl genpkey -algorithm ed25519 -out ${path}, readable by its owner alone.`,
    );
  return readEd25519(path);
}

/** Effect: the key that succeeded takes the place of the one before, which is kept as `evidence-signing.retired-<id>`. Idempotent. */
export function putNextEvidenceKey(directory: string): void {
  const current = join(directory, signingFiles.evidenceSigning);
  const retired = join(directory, `evidence-signing.retired-${keyIdOf(createPublicKey(readEd25519(current)))}`);
  if (!existsSync(retired)) linkSync(current, retired);
  renameSync(join(directory, nextEvidenceFile), current);
}

/** The first 16 hex digits of the SHA-256 of the public key's SPKI bytes. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}

function createKeys(directory: string): void {
  mkdirSync(dirname(directory), { recursive: true });
  const draft = `${directory}.${randomBytes(6).toString('hex')}`;
  mkdirSync(join(draft, verifyingDirectory), { recursive: true, mode: 0o700 });
  for (const file of [...Object.values(secretFiles), payloadKeyFile]) writeDurably(join(draft, file), freshSecretKey());
  for (const file of Object.values(signingFiles)) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    writeDurably(join(draft, file), String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
    if (file === signingFiles.decisionSigning)
      writeDurably(
        join(draft, verifyingDirectory, `${keyIdOf(publicKey)}.pem`),
        String(publicKey.export({ type: 'spki', format: 'pem' })),
      );
  }
  try {
    renameSync(draft, directory);
  } catch (cause) {
    rmSync(draft, { recursive: true });
    // Another process created the keys first: load those. Anything else in the way is not ours to judge.
    if (keyFiles.every((file) => existsSync(join(directory, file)))) return;
    throw new KeysUnusable(
      `${directory} exists with other content and no keys, so keys are not created there. Restore the keys from the backup, or name an empty directory.`,
      { cause },
    );
  }
}

function readEd25519(path: string): KeyObject {
  return parseEd25519(path, readPrivateFile(path), createPrivateKey);
}

function readVerifyingKeys(directory: string): [string, KeyObject][] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith('.pem'))
    .map((file) => {
      const path = join(directory, file);
      const key = parseEd25519(path, readPrivateFile(path), createPublicKey);
      return [keyIdOf(key), key];
    });
}

function parseEd25519(path: string, pem: string, parse: (pem: string) => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = parse(pem);
  } catch (cause) {
    throw new KeysUnusable(`${path} is not a key in PEM form. Restore it from the backup.`, { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new KeysUnusable(`${path} is not an Ed25519 key. Restore it from the backup.`);
  return key;
}
