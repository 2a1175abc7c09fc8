-- The locks of a step in one call instead of three: identity, request, credentials, always in this order (DESIGN section 5, Locks).
-- VOLATILE: each statement in it sees what was committed before it began, also while an earlier one waited for its lock.
-- No row: there is no such request, or it is about no identity.
CREATE FUNCTION "lock_request"("asked" text)
RETURNS TABLE ("identity" jsonb, "request" jsonb, "credentials" jsonb) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  "subject" text := (SELECT r."identityId" FROM "request" r WHERE r."id" = "asked");
  "lockedIdentity" jsonb;
  "lockedRequest" jsonb;
BEGIN
  SELECT to_jsonb(i) INTO "lockedIdentity" FROM "identity" i WHERE i."id" = "subject" FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT to_jsonb(r) INTO "lockedRequest" FROM "request" r WHERE r."id" = "asked" FOR UPDATE;
  RETURN QUERY
    SELECT "lockedIdentity", "lockedRequest", coalesce(jsonb_agg(
      to_jsonb(c) || jsonb_build_object('lastUsedAt', coalesce(k."lastUsedAt", a."lastUsedAt")) ORDER BY c."version"), '[]')
    FROM (SELECT * FROM "credential" WHERE "identityId" = "subject" AND "state" <> 'destroyed' ORDER BY "version" FOR UPDATE) c
    LEFT JOIN "api_key" k ON k."handle" = c."handle" LEFT JOIN "agent_key" a ON a."handle" = c."handle";
END $$;
