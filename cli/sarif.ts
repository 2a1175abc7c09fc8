import { isAbsolute, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Findings in SARIF 2.1.0 (OASIS), which code hosts show beside the lines of a pull request. */

/** Something found in a file. Lines and columns from 1, columns in UTF-16 units. */
export interface SarifFinding {
  readonly ruleId: string;
  readonly severity: 'error' | 'warning' | 'note';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** What a rule is about, in a sentence. */
export interface SarifRule {
  readonly id: string;
  readonly description: string;
}

/**
 * One SARIF log with one run.
 * @param rules those that may have been broken; every finding's `ruleId` must be among them
 * @param root the directory that files below it are named relative to, with forward slashes; others are file: URIs
 * @throws TypeError when a finding is of no rule: a reader could not tell what it is about
 */
export function sarifReport(
  findings: readonly SarifFinding[],
  { rules, version, root }: { readonly rules: readonly SarifRule[]; readonly version: string; readonly root: string },
) {
  return {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'tenure flows',
            semanticVersion: version,
            rules: rules.map(({ id, description }) => ({ id, shortDescription: { text: description } })),
          },
        },
        // As JavaScript counts, and as the columns of our own errors do.
        columnKind: 'utf16CodeUnits',
        results: findings.map(({ ruleId, severity, file, line, column, message }) => {
          const ruleIndex = rules.findIndex(({ id }) => id === ruleId);
          if (ruleIndex === -1)
            throw new TypeError(`Finding at ${file}:${line} is of rule ${ruleId}, which is not declared.`);
          return {
            ruleId,
            ruleIndex,
            level: severity,
            message: { text: message },
            locations: [
              {
                physicalLocation: {
                  artifactLocation: { uri: uriOf(file, root) },
                  region: { startLine: line, startColumn: column },
                },
              },
            ],
          };
        }),
      },
    ],
  };
}

function uriOf(file: string, root: string): string {
  const path = relative(root, resolve(root, file));
  if (isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`)) return pathToFileURL(resolve(root, file)).href;
  return path.split(sep).map(encodeURIComponent).join('/');
}
