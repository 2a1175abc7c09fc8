import { dpopAlgorithms } from './dpopProof.ts';

/** RFC 9728 §2: tells a client, before any call, whose grants this server takes and that they are bound to a key. */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly scopes_supported: readonly string[];
  readonly bearer_methods_supported: readonly string[];
  readonly dpop_signing_alg_values_supported: readonly string[];
  readonly dpop_bound_access_tokens_required: true;
}

/**
 * The document for `/.well-known/oauth-protected-resource`.
 * @param resource the address that clients know this server by
 * @param actions of the tool, each a scope `<tool>:<action>`
 */
export function resourceMetadata({
  resource,
  issuer,
  tool,
  actions,
}: {
  resource: string;
  issuer: string;
  tool: string;
  actions: readonly string[];
}): ResourceMetadata {
  return {
    resource,
    authorization_servers: [issuer],
    scopes_supported: actions.map((action) => `${tool}:${action}`),
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: dpopAlgorithms,
    dpop_bound_access_tokens_required: true,
  };
}
