import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { isOfSmallOrder } from '../domain/ed25519.ts';
import { KeysUnusable, readPrivateFile } from './keyFiles.ts';
import { keyIdOf } from './keys.ts';

/** A public key of `recovery.keys` in tenure.yaml; undefined when the text is no Ed25519 key (SPKI, base64) that only its holder can sign with. */
export function recoveryKeyOf(text: string): { readonly keyId: string; readonly publicKey: KeyObject } | undefined {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
    if (publicKey.asymmetricKeyType !== 'ed25519' || isOfSmallOrder(pointOf(publicKey))) return undefined;
    return { keyId: keyIdOf(publicKey), publicKey };
  } catch {
    // OpenSSL's words are about encodings, and may quote what was given: the schema says what to write.
    return undefined;
  }
}

function pointOf(publicKey: KeyObject): Uint8Array {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
}

/**
 * A person's own key, as `openssl genpkey -algorithm ed25519` writes it (PKCS 8, PEM).
 * @throws KeysUnusable when it is no such key, or other users may read it
 */
export function readRecoveryKey(file: string): { readonly keyId: string; readonly privateKey: KeyObject } {
  const privateKey = privateKeyIn(file, readPrivateFile(file));
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw new KeysUnusable(`${file} is not an Ed25519 key. Make one: openssl genpkey -algorithm ed25519 -out <file>`);
  return { keyId: keyIdOf(createPublicKey(privateKey)), privateKey };
}

function privateKeyIn(file: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new KeysUnusable(`${file} is not a private key in PEM form without a passphrase.`, { cause });
  }
}
