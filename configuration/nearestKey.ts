import { configurationJsonSchema } from './configurationSchema.ts';

interface SchemaNode {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly $defs?: Readonly<Record<string, SchemaNode>>;
}

/** The known key at `path` that is spelt most like `key`; undefined when none is near (more than a third of it differs). */
export function nearestKey(key: string, path: readonly PropertyKey[]): string | undefined {
  const root: SchemaNode = configurationJsonSchema();
  let nodes = branchesOf(root, root);
  for (const step of path)
    nodes = nodes.flatMap((node) => childrenOf(node, step)).flatMap((node) => branchesOf(node, root));
  const ranked = nodes
    .flatMap((node) => Object.keys(node.properties ?? {}))
    .map((known) => ({ known, distance: editDistance(key.toLowerCase(), known.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= Math.max(1, Math.floor(key.length / 3)) ? best.known : undefined;
}

function branchesOf(node: SchemaNode, root: SchemaNode): SchemaNode[] {
  const target = node.$ref === undefined ? node : (root.$defs?.[node.$ref.replace('#/$defs/', '')] ?? {});
  return [target, ...[...(target.anyOf ?? []), ...(target.oneOf ?? [])].flatMap((branch) => branchesOf(branch, root))];
}

function childrenOf(node: SchemaNode, step: PropertyKey): SchemaNode[] {
  const property = typeof step === 'string' ? node.properties?.[step] : node.items;
  if (property !== undefined) return [property];
  return typeof node.additionalProperties === 'object' ? [node.additionalProperties] : [];
}

/** Levenshtein distance with adjacent transpositions counted once: `isuer`, `issure`. */
function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= from.length; row += 1) {
    const line = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replace = at(rows, row - 1, column - 1) + (from[row - 1] === to[column - 1] ? 0 : 1);
      const isSwapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      const swap = isSwapped ? at(rows, row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY;
      line.push(Math.min(at(rows, row - 1, column) + 1, (line[column - 1] ?? 0) + 1, replace, swap));
    }
    rows.push(line);
  }
  return at(rows, from.length, to.length);
}

function at(rows: readonly (readonly number[])[], row: number, column: number): number {
  return rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
}
