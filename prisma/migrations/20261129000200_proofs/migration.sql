-- When the author of a proof last signed in, by their provider's clock: a part of what is signed. Decisions have none.
ALTER TABLE "decision" ADD COLUMN "authenticatedAt" TIMESTAMPTZ(3);
-- A proof without it would prove nothing.
ALTER TABLE "decision" ADD CONSTRAINT "decision_proof" CHECK ("verdict" <> 'confirm' OR "authenticatedAt" IS NOT NULL);
