/** Test results in the XML that CI servers read (the JUnit format as Jenkins' and Maven Surefire's schemas have it). */

export interface JunitSuite {
  readonly name: string;
  readonly file: string;
  readonly cases: readonly JunitCase[];
}

export interface JunitCase {
  readonly name: string;
  readonly seconds: number;
  /** Why it did not pass; `error` when it could not be run at all. */
  readonly problem?: { readonly kind: 'failure' | 'error'; readonly message: string; readonly details: string };
}

/** One XML 1.0 document in UTF-8. Whatever the texts hold, it is well-formed: what XML cannot say at all becomes U+FFFD. */
export function junitReport(suites: readonly JunitSuite[]): string {
  const all = suites.flatMap(({ cases }) => cases);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'tenure flows', ...totals(all) })}>`,
    ...suites.flatMap(({ name, file, cases }) => [
      `  <testsuite${attributes({ name, file, ...totals(cases) })}>`,
      ...cases.map((each) => caseElement(name, file, each)),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n');
}

function caseElement(suite: string, file: string, { name, seconds, problem }: JunitCase): string {
  const opening = `    <testcase${attributes({ name, classname: suite, file, time: seconds.toFixed(6) })}`;
  if (problem === undefined) return `${opening}/>`;
  const { kind, message, details } = problem;
  return [
    `${opening}>`,
    `      <${kind}${attributes({ message, type: kind })}>${escaped(details)}</${kind}>`,
    '    </testcase>',
  ].join('\n');
}

function totals(cases: readonly JunitCase[]): Readonly<Record<string, string>> {
  const having = (kind: string) => cases.filter(({ problem }) => problem?.kind === kind).length;
  return {
    tests: String(cases.length),
    failures: String(having('failure')),
    errors: String(having('error')),
    skipped: '0',
    time: cases.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(6),
  };
}

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(
      ([name, value]) => ` ${name}="${escaped(value).replaceAll(/[\t\n\r]/g, (space) => `&#${space.charCodeAt(0)};`)}"`,
    )
    .join('');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** XML 1.0 §2.2: most control characters, lone surrogates and two more cannot be written, not even as references. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll(/[&<>"']/g, (letter) => entities[letter] ?? letter);
}
