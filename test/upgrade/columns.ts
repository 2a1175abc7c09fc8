import pg from 'pg';

/** A column as whoever inserts and reads without knowing of later ones depends on it. */
export interface Column {
  readonly type: string;
  readonly isNullable: boolean;
  /** What a row gets that does not name it; a column without one must be named, or be null. */
  readonly hasDefault: boolean;
}

/** Every column of the ledger, as `table.column`. */
export async function columnsOf(databaseUrl: string): Promise<Readonly<Record<string, Column>>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string } & Column>(`
      SELECT table_name || '.' || column_name AS name, udt_name AS type, is_nullable = 'YES' AS "isNullable",
             column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS' AS "hasDefault"
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_prisma_migrations'`);
    return Object.fromEntries(rows.map(({ name, ...column }) => [name, column]));
  } finally {
    await client.end();
  }
}

/** What stops a release that knows only `older` from running on `newer`, in words; nothing when the schema only grew. */
export function narrowings(
  older: Readonly<Record<string, Column>>,
  newer: Readonly<Record<string, Column>>,
): readonly string[] {
  const lost = Object.entries(older).flatMap(([name, was]) => {
    const is = newer[name];
    if (is === undefined) return [`${name} is gone`];
    if (is.type !== was.type) return [`${name} was ${was.type} and is ${is.type}`];
    if (was.isNullable && !is.isNullable) return [`${name} may not be null any more`];
    if (!was.isNullable && is.isNullable) return [`${name} may be null now, which its readers do not expect`];
    return was.hasDefault && !is.hasDefault ? [`${name} lost its default`] : [];
  });
  const tables = new Set(Object.keys(older).map(tableOf));
  const demanded = Object.entries(newer).filter(
    ([name, { isNullable, hasDefault }]) =>
      older[name] === undefined && tables.has(tableOf(name)) && !isNullable && !hasDefault,
  );
  return [...lost, ...demanded.map(([name]) => `${name} must be given by inserts that do not know it`)];
}

function tableOf(name: string): string {
  return name.slice(0, name.indexOf('.'));
}
