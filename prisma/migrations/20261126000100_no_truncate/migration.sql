-- DELETE is refused row by row; TRUNCATE passes row triggers by, so it is refused by the statement. What the ledger knew stays known.
CREATE TRIGGER "identity_not_truncated" BEFORE TRUNCATE ON "identity" FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "credential_not_truncated" BEFORE TRUNCATE ON "credential" FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "request_not_truncated" BEFORE TRUNCATE ON "request" FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "decision_not_truncated" BEFORE TRUNCATE ON "decision" FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
CREATE TRIGGER "flow_version_not_truncated" BEFORE TRUNCATE ON "flow_version" FOR EACH STATEMENT EXECUTE FUNCTION "never_changes"();
