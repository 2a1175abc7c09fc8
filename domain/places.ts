/**
 * What a step-up is for beside its tool and action: on which resource, in which workspace. Both are paths of words, so that no
 * sentence fits into them, whoever is meant to read it. There is one way to write each: guards compare them to the letter, and
 * `Production` or `production:eu` would be none of those that a flow weighs.
 */

export interface Place {
  readonly path: RegExp;
  /** Of an agent's policy: the same, and `*` for any characters within one segment. */
  readonly pattern: RegExp;
  /** After "must be". */
  readonly form: string;
}

/** Names of the flow's author, as environments and groups are. */
export const workspaces: Place = {
  path: /^[a-z0-9][a-z0-9-]*(?:\/[a-z0-9][a-z0-9-]*)*$/,
  pattern: /^[a-z0-9*][a-z0-9*-]*(?:\/[a-z0-9*][a-z0-9*-]*)*$/,
  form: 'segments of lower-case letters, digits and -, each beginning with a letter or digit, with / between them',
};

/** Names of the tool's: files, tables and repositories have dots and underscores too. No segment is `.` or `..`. */
export const resources: Place = {
  path: /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/,
  pattern: /^[a-z0-9*][a-z0-9*._-]*(?:\/[a-z0-9*][a-z0-9*._-]*)*$/,
  form: 'segments of lower-case letters, digits and . _ -, each beginning with a letter or digit, with / between them',
};

export const longestPlace = 200;
