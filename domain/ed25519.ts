/** RFC 8032 §5.1: the field and the curve -x² + y² = 1 + d·x²·y². */
const prime = 2n ** 255n - 19n;
const d = mod(-121_665n * power(121_666n, prime - 2n));

/**
 * Whether these 32 bytes are a point of small order, in any encoding: under such a "public key" there are signatures that
 * anybody can make, without a private key. OpenSSL accepts them until 3.0 at least, other verifiers still do, and a key that is
 * registered here is verified elsewhere too.
 *
 * The points of order 1, 2 and 4 have y = 1, -1 and 0. Those of order 8 double to one of order 4, so d·y⁴ + 2y² = 1.
 */
export function isOfSmallOrder(publicKey: Uint8Array): boolean {
  // Little-endian; the highest bit is the sign of x, and both signs have the same order. Not reduced: y and y + p are alike.
  const bytes = [...publicKey].reverse();
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  const y = mod(BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
  const square = mod(y * y);
  return y === 0n || square === 1n || mod(d * square * square + 2n * square) === 1n;
}

function mod(value: bigint): bigint {
  return ((value % prime) + prime) % prime;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let factor = mod(base);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = mod(result * factor);
    factor = mod(factor * factor);
  }
  return result;
}
