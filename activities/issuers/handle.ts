/** The handles of issuers whose credentials we name: `<identity id>-v<version>`. */
const handlePattern = /^([a-z2-7]{26})-v([1-9][0-9]{0,8})$/;

/** Whose handle it is and of which version; undefined when it is not of our form. */
export function partsOfHandle(handle: string): { identityId: string; version: number } | undefined {
  const [, identityId, version] = handlePattern.exec(handle) ?? [];
  if (identityId === undefined || version === undefined) return undefined;
  return { identityId, version: Number(version) };
}
