-- Promise 9 in PostgreSQL itself: evidence is only ever added to. These triggers stop mistakes and ordinary access, the
-- table's owner included; whoever disables them is found by the MAC chain and by the signed tree.

CREATE FUNCTION "evidence_append_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on % refused: evidence is append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = 'evidence_append_only';
END $$;

-- The sealer alone numbers entries, and an entry is born without a number.
CREATE FUNCTION "evidence_entry_unsealed"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW."leafIndex" IS NOT NULL THEN
    RAISE EXCEPTION 'evidence entry % position % arrives with a leaf index: the sealer gives it later', NEW."chain", NEW."position"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'evidence_entry_unsealed';
  END IF;
  RETURN NEW;
END $$;

-- The one change there is: from no leaf index to one, once, and nothing else with it.
CREATE FUNCTION "evidence_entry_sealed_once"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  "numbered" "evidence_entry"%ROWTYPE := OLD;
BEGIN
  "numbered"."leafIndex" := NEW."leafIndex";
  IF OLD."leafIndex" IS NOT NULL OR NEW."leafIndex" IS NULL OR NEW IS DISTINCT FROM "numbered" THEN
    RAISE EXCEPTION 'UPDATE on evidence_entry % refused: evidence is append-only, only its leaf index is set, once', OLD."id"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'evidence_append_only';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER "evidence_entry_unsealed" BEFORE INSERT ON "evidence_entry"
  FOR EACH ROW EXECUTE FUNCTION "evidence_entry_unsealed"();
CREATE TRIGGER "evidence_entry_sealed_once" BEFORE UPDATE ON "evidence_entry"
  FOR EACH ROW EXECUTE FUNCTION "evidence_entry_sealed_once"();
CREATE TRIGGER "evidence_entry_kept" BEFORE DELETE OR TRUNCATE ON "evidence_entry"
  FOR EACH STATEMENT EXECUTE FUNCTION "evidence_append_only"();
CREATE TRIGGER "evidence_node_kept" BEFORE UPDATE OR DELETE OR TRUNCATE ON "evidence_node"
  FOR EACH STATEMENT EXECUTE FUNCTION "evidence_append_only"();
CREATE TRIGGER "evidence_checkpoint_kept" BEFORE UPDATE OR DELETE OR TRUNCATE ON "evidence_checkpoint"
  FOR EACH STATEMENT EXECUTE FUNCTION "evidence_append_only"();

-- ALWAYS: also under session_replication_role = replica, which silences ordinary triggers. Not the one on INSERT, or a
-- logical replica could not copy sealed rows.
ALTER TABLE "evidence_entry" ENABLE ALWAYS TRIGGER "evidence_entry_sealed_once";
ALTER TABLE "evidence_entry" ENABLE ALWAYS TRIGGER "evidence_entry_kept";
ALTER TABLE "evidence_node" ENABLE ALWAYS TRIGGER "evidence_node_kept";
ALTER TABLE "evidence_checkpoint" ENABLE ALWAYS TRIGGER "evidence_checkpoint_kept";

ALTER TABLE "evidence_entry"
  ADD CONSTRAINT "evidence_entry_position" CHECK ("position" >= 0),
  ADD CONSTRAINT "evidence_entry_mac" CHECK (octet_length("mac") = 32),
  -- One leaf is one line of an export.
  ADD CONSTRAINT "evidence_entry_one_line" CHECK ("body" !~ '[\n\r]');

-- What the sealer looks for each half second, however long the log is.
CREATE INDEX "evidence_entry_unsealed" ON "evidence_entry" ("id") WHERE "leafIndex" IS NULL;

-- Takes the locks of the given chains until the end of the transaction, then returns the last entry of each that has any.
-- In one round trip, since it is on every hot path: a VOLATILE function takes a new snapshot for each of its statements,
-- so under READ COMMITTED the read sees what the previous holder of the lock committed. Locks are taken in the order of
-- their numbers, so that two transactions with several chains each cannot wait for one another.
CREATE FUNCTION "evidence_chain_heads"("chains" text[])
RETURNS TABLE ("chain" text, "position" integer, "mac" bytea) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  "chainLock" bigint;
BEGIN
  FOR "chainLock" IN SELECT DISTINCT hashtextextended(c, 6962) FROM unnest("chains") AS c ORDER BY 1 LOOP
    PERFORM pg_advisory_xact_lock("chainLock");
  END LOOP;
  RETURN QUERY
    SELECT c, head."position", head."mac"
    FROM unnest("chains") AS c
    CROSS JOIN LATERAL (
      SELECT e."position", e."mac" FROM "evidence_entry" e WHERE e."chain" = c ORDER BY e."position" DESC LIMIT 1
    ) AS head;
END $$;
