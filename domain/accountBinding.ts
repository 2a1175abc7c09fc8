import type { ProblemSlug } from './problems.ts';

/**
 * Whose account it is that nobody has seen yet. An address binds it to a person only where the provider vouches for the
 * address and may speak for its domain; everybody else is told what an administrator does.
 */

/** What tenure.yaml says of the provider that signed the account's token. */
export interface VouchingProvider {
  readonly name: string;
  /** No other provider of tenure.yaml is `for: people`. */
  readonly isOnlyOne: boolean;
  /** Its addresses are taken for verified although its tokens do not say so. */
  readonly trustsEmail: boolean;
  /** Domains of addresses for which it may speak; undefined when tenure.yaml does not say. */
  readonly domains: readonly string[] | undefined;
}

/** Somebody of the directory who is known by the address. */
export interface Candidate {
  readonly id: string;
  readonly active: boolean;
  /** Recorded by a release that knew no accounts. */
  readonly cameBefore: boolean;
  /** Another account of the same issuer is this person's. */
  readonly hasAccount: boolean;
  /** The providers of this person's accounts say other addresses by now. */
  readonly isFormer: boolean;
}

export interface NewAccount {
  readonly provider: VouchingProvider;
  readonly subject: string;
  readonly address: string;
  readonly addressVerified: true | 'not-said';
  readonly candidates: readonly Candidate[];
}

export type Binding =
  | { readonly to: string | 'nobody-yet'; readonly isVouched: true; readonly finding?: string }
  /** An upgraded installation that does not say yet who speaks for which domain: it locks nobody out, and gives no power. */
  | { readonly to: string; readonly isVouched: false; readonly finding: string }
  | { readonly refused: ProblemSlug; readonly detail: string };

/** Decides it, from what the directory knows within the same transaction. */
export function bindingOf(account: NewAccount): Binding {
  const { provider, address, candidates } = account;
  const speaks = speaksFor(provider, address);
  if (speaks === false)
    return unlinked(account, `"domains" of provider "${provider.name}" in tenure.yaml has not that of ${address}`);
  const [known, other] = candidates;
  if (other !== undefined) return unlinked(account, `${address} is known of ${candidates.length} people`);
  if (known !== undefined && !known.active)
    return { refused: 'person-inactive', detail: `${address} is of somebody who is not active in the directory.` };
  if (known?.hasAccount)
    return unlinked(account, `${address} is known of somebody with another account of this provider`);
  if (known?.isFormer) return unlinked(account, `${address} is known of somebody who has another address by now`);
  const missing = whatIsMissing(account, speaks);
  if (missing === undefined) {
    const to = known?.id ?? 'nobody-yet';
    return { to, isVouched: true, ...(speaksUnverified(account) ? { finding: unverified(provider) } : {}) };
  }
  if (known?.cameBefore) return { to: known.id, isVouched: false, finding: missing };
  return unlinked(account, missing);
}

/** False: tenure.yaml says that it may not. Undefined: tenure.yaml does not say, and several could. */
function speaksFor({ domains, isOnlyOne }: VouchingProvider, address: string): boolean | undefined {
  if (domains === undefined) return isOnlyOne ? true : undefined;
  return domains.includes(address.slice(address.lastIndexOf('@') + 1));
}

function whatIsMissing({ provider, addressVerified }: NewAccount, speaks: true | undefined): string | undefined {
  if (speaks === undefined)
    return `several providers are "for: people", and "domains" of provider "${provider.name}" in tenure.yaml does not say for whose addresses it speaks`;
  if (addressVerified === true || provider.trustsEmail || provider.isOnlyOne) return undefined;
  return `its token does not say "email_verified", and tenure.yaml does not say "trustsEmail: true" of provider "${provider.name}"`;
}

function speaksUnverified({ provider, addressVerified }: NewAccount): boolean {
  return addressVerified !== true && !provider.trustsEmail;
}

function unverified({ name }: VouchingProvider): string {
  return `Provider "${name}" does not say "email_verified", and its addresses are believed because it is the only one for people. Make it send the claim, or add trustsEmail: true to it in tenure.yaml: a later release refuses first sign-ins without either.`;
}

function unlinked({ provider, subject }: NewAccount, because: string): Binding {
  return {
    refused: 'account-not-linked',
    detail: `Account "${subject}" of provider "${provider.name}" is nobody's yet: ${because}. Two administrators link it: tenure people link <person> --provider ${provider.name} --subject ${subject}.`,
  };
}
