-- Orders of effects, each under a nonce, and what the activity itself recorded of it (DESIGN section 5, Outcomes): what Temporal
-- says of an effect is that an attempt ended, and no more. Orders from before have no row: they are issued again.
CREATE TABLE "effect_order" (
    "nonce" TEXT NOT NULL,
    "requestId" TEXT NOT NULL,
    "effectId" TEXT NOT NULL,
    "activity" TEXT NOT NULL,
    "input" JSONB NOT NULL,
    "issuedAt" TIMESTAMPTZ(3) NOT NULL,
    "begunAt" TIMESTAMPTZ(3),
    "outcome" JSONB,
    "recordedAt" TIMESTAMPTZ(3),
    "lastFailure" JSONB,
    "closedAt" TIMESTAMPTZ(3),

    CONSTRAINT "effect_order_pkey" PRIMARY KEY ("nonce")
);

ALTER TABLE "effect_order" ADD CONSTRAINT "effect_order_requestId_fkey" FOREIGN KEY ("requestId") REFERENCES "request"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- One open order for each effect of a request: two could be answered differently.
CREATE UNIQUE INDEX "effect_order_open" ON "effect_order" ("requestId", "effectId") WHERE "closedAt" IS NULL;

ALTER TABLE "effect_order" ADD CONSTRAINT "effect_order_activity" CHECK ("activity" IN ('create', 'promote', 'quarantine', 'destroy'));
ALTER TABLE "effect_order" ADD CONSTRAINT "effect_order_answer" CHECK (("outcome" IS NULL) = ("recordedAt" IS NULL) AND ("outcome" IS NULL) = ("begunAt" IS NULL));

-- What was ordered stays as it was; an answer is given once, and none after the order is closed.
CREATE FUNCTION "effect_order_moves"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW."nonce", NEW."requestId", NEW."effectId", NEW."activity", NEW."input", NEW."issuedAt")
       IS DISTINCT FROM (OLD."nonce", OLD."requestId", OLD."effectId", OLD."activity", OLD."input", OLD."issuedAt")
     OR OLD."closedAt" IS NOT NULL
     OR OLD."outcome" IS NOT NULL
       AND (NEW."outcome", NEW."begunAt", NEW."recordedAt") IS DISTINCT FROM (OLD."outcome", OLD."begunAt", OLD."recordedAt")
  THEN
    RAISE EXCEPTION 'effect order % was issued, answered or closed, and stays so', OLD."nonce"
      USING ERRCODE = 'check_violation', CONSTRAINT = 'effect_order_moves';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "effect_order_moves" BEFORE UPDATE ON "effect_order" FOR EACH ROW EXECUTE FUNCTION "effect_order_moves"();
CREATE TRIGGER "effect_order_kept" BEFORE DELETE ON "effect_order" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
