import { nearestWord } from '../domain/flow/nearestWord.ts';
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

/** The known key at `path` that `key` most likely meant; undefined when none is near. */
export function nearestKey(key: string, path: readonly PropertyKey[]): string | undefined {
  const root: SchemaNode = configurationJsonSchema();
  let nodes = branchesOf(root, root);
  for (const step of path)
    nodes = nodes.flatMap((node) => childrenOf(node, step)).flatMap((node) => branchesOf(node, root));
  return nearestWord(
    key,
    nodes.flatMap((node) => Object.keys(node.properties ?? {})),
  );
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
