/** The people of the tests; addresses are reserved for examples (RFC 2606). */
const person = (name: string, ...groups: string[]) => ({ id: `${name}@tenure.example`, name, groups, active: true });

export const people = [
  person('requester', 'requester'),
  person('owner', 'owner'),
  person('security-1', 'security'),
  person('security-2', 'security'),
  person('security-lead', 'security', 'security-lead'),
  person('responder', 'responder'),
  person('responder-2', 'responder'),
  person('auditor', 'auditor'),
  person('flow-author', 'flow-author'),
  // An author who is of security too: only separation keeps that person from deciding.
  person('security-author', 'security', 'flow-author'),
];
