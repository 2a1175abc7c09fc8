/** Asymmetric only: with `none` or a shared secret anyone who can read a key could sign. */
export const algorithms = ['RS256', 'ES256', 'PS256', 'EdDSA', 'Ed25519'];

/** Between our clock and that of whoever signed. */
export const clockToleranceSeconds = 10;
