import { type AgentPolicy, scopeOf } from './agents.ts';
import type { PolicyFacts, ToolFacts } from './flow/facts.ts';

/**
 * What an agent's approved policy says of an ask. Each answer takes the one before with it, and all are of one rule: an action
 * of one rule never meets the resources of another.
 * @param scopes of the identity as they are now: what a review took away is not covered any more
 */
export function policyFactsOf(
  policy: AgentPolicy | undefined,
  scopes: readonly string[],
  { name, action, resource, workspace }: ToolFacts,
): PolicyFacts {
  const isInScope = scopes.includes(scopeOf(name, action));
  const rules = (policy?.rules ?? []).filter(
    (rule) => isInScope && rule.tool === name && rule.actions.includes(action),
  );
  const ofResource = rules.filter(({ resources }) => resources.some((pattern) => isCovered(pattern, resource)));
  const ofWorkspace = ofResource.filter(({ workspaces }) =>
    workspaces.some((pattern) => isCovered(pattern, workspace)),
  );
  return {
    coversAction: rules.length > 0,
    coversResource: ofResource.length > 0,
    coversWorkspace: ofWorkspace.length > 0,
  };
}

/**
 * Whether a pattern covers a path: segment by segment, where `*` stands for any characters within one (RFC 3986 dots are
 * no steps: a path with `.` or `..` as a segment is covered by nothing).
 */
function isCovered(pattern: string, path: string): boolean {
  const [patterns, segments] = [pattern.split('/'), path.split('/')];
  if (segments.some((segment) => segment === '.' || segment === '..')) return false;
  return (
    patterns.length === segments.length &&
    patterns.every((part, index) => isSegmentCovered(part, segments[index] ?? ''))
  );
}

/** Linear in the segment: each part is found at its first place after the one before. */
function isSegmentCovered(pattern: string, segment: string): boolean {
  const [first = '', ...parts] = pattern.split('*');
  const last = parts.pop();
  if (last === undefined) return pattern === segment;
  if (segment.length < first.length + last.length || !segment.startsWith(first) || !segment.endsWith(last))
    return false;
  const middle = segment.slice(first.length, segment.length - last.length);
  let at = 0;
  for (const part of parts) {
    const found = middle.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return true;
}
