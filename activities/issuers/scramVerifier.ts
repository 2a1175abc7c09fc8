import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify(pbkdf2);

/** RFC 7677 §4 and PostgreSQL's own default. More would not help: our secrets have 256 random bits, no dictionary finds them. */
const iterations = 4096;

/**
 * The SCRAM-SHA-256 verifier (RFC 5802 §3, RFC 7677) in the form that PostgreSQL stores, so that `CREATE ROLE`, which
 * servers write to their log, never contains the secret. Nobody can log in with a verifier.
 * @param secret printable ASCII, so that SASLprep (RFC 4013) leaves it as it is
 * @param salt for tests against known answers; fresh random bytes otherwise
 * @throws TypeError when the secret has other characters
 */
export async function scramVerifier(secret: string, salt: Buffer = randomBytes(16)): Promise<string> {
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new TypeError('A secret for SCRAM must be printable ASCII without spaces.');
  const salted = await derive(secret, salt, iterations, 32, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const storedKey = createHash('sha256').update(clientKey).digest('base64');
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
