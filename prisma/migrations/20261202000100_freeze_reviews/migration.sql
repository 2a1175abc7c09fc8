CREATE TABLE "freeze_review_order" (
    "id" TEXT NOT NULL,
    "freezeId" TEXT NOT NULL,
    "orderedBy" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "proposal" JSONB NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "freeze_review_order_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "freeze_review" (
    "orderId" TEXT NOT NULL,
    "identityId" TEXT NOT NULL,
    "requestId" TEXT,
    "refusal" TEXT,

    CONSTRAINT "freeze_review_pkey" PRIMARY KEY ("orderId","identityId")
);

CREATE INDEX "freeze_review_order_freezeId_createdAt_id_idx" ON "freeze_review_order"("freezeId", "createdAt", "id");

ALTER TABLE "freeze_review_order" ADD CONSTRAINT "freeze_review_order_freezeId_fkey" FOREIGN KEY ("freezeId") REFERENCES "freeze"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "freeze_review" ADD CONSTRAINT "freeze_review_orderId_fkey" FOREIGN KEY ("orderId") REFERENCES "freeze_review_order"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "freeze_review" ADD CONSTRAINT "freeze_review_identityId_fkey" FOREIGN KEY ("identityId") REFERENCES "identity"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Asked under a request, or refused with a reason.
ALTER TABLE "freeze_review" ADD CONSTRAINT "freeze_review_answer" CHECK (("requestId" IS NULL) <> ("refusal" IS NULL));

-- What was ordered, and who was asked because of it, stays as it was.
CREATE TRIGGER "freeze_review_order_kept" BEFORE UPDATE OR DELETE ON "freeze_review_order"
  FOR EACH ROW EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "freeze_review_kept" BEFORE UPDATE OR DELETE ON "freeze_review" FOR EACH ROW EXECUTE FUNCTION "never_changes"();
