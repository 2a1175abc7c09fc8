-- When the person a grant acts for last signed in, by the token that showed it: the token's auth_time (RFC 9470 §5). Null of
-- grants of before, of persons that are only named, and of providers that do not say.
ALTER TABLE "access_grant" ADD COLUMN "authenticatedAt" TIMESTAMPTZ(3);
