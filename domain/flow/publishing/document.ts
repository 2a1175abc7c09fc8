import { canonicalJson } from '../../evidence/canonicalJson.ts';
import { type Invariant, parseInvariants } from '../analysis/invariants.ts';
import type { Flow } from '../language.ts';
import { type FlowError, parseFlow } from '../parse.ts';
import type { DocumentOperation } from '../publication.ts';
import { readYaml, valueAt } from '../yamlPositions.ts';
import { sha256 } from './publishedSet.ts';

/** What is published: a flow, or the invariants, as somebody wrote it and as it is run. */
export interface PolicyDocument {
  /** `metadata.name` of a flow; `invariants`. */
  readonly name: string;
  readonly operation: DocumentOperation;
  /** SHA-256 (hex) of `canonical`. */
  readonly digest: string;
  /** RFC 8785. */
  readonly canonical: string;
  readonly source: string;
}

/** The one document that is no flow. */
export const invariantsName = 'invariants';

export type ReadPolicyDocument =
  | { readonly ok: true; readonly document: PolicyDocument }
  | { readonly ok: false; readonly errors: readonly FlowError[] };

/**
 * Reads a flow, or the invariants (`kind: Invariants`), to the standard of `parseFlow`. Never throws.
 * @param file the name that errors show
 */
export function readPolicyDocument(source: string, file: string): ReadPolicyDocument {
  const tree = readYaml(source);
  if (valueAt(tree.value, ['kind']) === 'Invariants') {
    const parsed = parseInvariants(source, file);
    return parsed.ok ? { ok: true, document: invariantsDocument(parsed.invariants, source) } : parsed;
  }
  const parsed = parseFlow(source, file);
  return parsed.ok ? { ok: true, document: flowDocument(parsed.flow, source) } : parsed;
}

export function flowDocument(flow: Flow, source: string): PolicyDocument {
  const canonical = canonicalJson(flow);
  return { name: flow.metadata.name, operation: flow.on, digest: sha256(canonical), canonical, source };
}

export function invariantsDocument(invariants: readonly Invariant[], source: string): PolicyDocument {
  const canonical = canonicalJson({ apiVersion: 'tenure/v1', kind: 'Invariants', invariants });
  return { name: invariantsName, operation: 'invariants', digest: sha256(canonical), canonical, source };
}

/** A document of a flow as it is run. */
export function flowIn({ canonical }: PolicyDocument): Flow {
  return JSON.parse(canonical) as Flow;
}

/** The invariants of the document of those. */
export function invariantsIn({ canonical }: PolicyDocument): readonly Invariant[] {
  return (JSON.parse(canonical) as { invariants: readonly Invariant[] }).invariants;
}
