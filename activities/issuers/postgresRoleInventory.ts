import type { InventoryEntry } from './issuer.ts';
import { tagged } from './postgresRoleCatalog.ts';
import type { AdminSession } from './postgresRoleConnection.ts';

/**
 * A page of the server's roles, in byte order of handles: those with this installation's tag, whatever their names, and
 * those named like a credential of ours that carry no tag, or another installation's.
 */
export async function inventoryPage(
  session: AdminSession,
  { tagPrefix, after, limit }: { tagPrefix: string; after: string; limit: number },
): Promise<readonly InventoryEntry[]> {
  const rows = await session.query<{ handle: string; isOurs: boolean; validUntil: Date | null }>(
    `WITH role AS (
       SELECT r.rolname, d.description AS tag,
              CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END AS "validUntil" FROM pg_roles r LEFT ${tagged}),
     entry AS (
       SELECT substr(tag, length($1) + 1) AS handle, true AS "isOurs", "validUntil" FROM role WHERE starts_with(tag, $1)
       UNION ALL
       SELECT replace(substr(rolname, length('tenure_') + 1), '_v', '-v'), false, "validUntil" FROM role
        WHERE rolname ~ '^tenure_[a-z2-7]{26}_v[1-9][0-9]{0,8}$' AND (tag IS NULL OR NOT starts_with(tag, $1)))
     SELECT handle, "isOurs", "validUntil" FROM entry
      WHERE handle ~ '^[a-z2-7]{26}-v[1-9][0-9]{0,8}$' AND handle COLLATE "C" > $2
      ORDER BY handle COLLATE "C", "isOurs" LIMIT $3`,
    [tagPrefix, after, limit],
  );
  return rows.map(({ handle, isOurs, validUntil }) => ({
    handle,
    identityId: handle.slice(0, handle.indexOf('-')),
    validUntil: validUntil ?? undefined,
    isOurs,
  }));
}
