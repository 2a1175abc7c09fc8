import type { Flow, Stage } from '../language.ts';
import { pathConditions } from './conditions.ts';
import type { FlowPath, StepOutcome } from './path.ts';
import { approverWords, denierWords, durationWords, endWords, stepWords } from './pathWords.ts';

/**
 * Flows as one SVG 1.1 picture: stages from top to bottom, what ends a request to the right. Drawn from the paths, so that
 * only what can happen is shown. The same paths always give the same bytes; no script, no font or address from outside.
 */

const width = 860;
const stageLeft = 60;
const stageWidth = 420;
const exitLeft = 560;
const lineHeight = 17;
const padding = 10;
const gap = 26;
/** Characters that fit a line of a box: letters are at most this wide, on average. */
const stageLetters = 56;
const exitLetters = 34;

/** What its `style` element holds: a page that allows no inline styles may allow this one by its hash. */
export const pictureStyle = `
  svg { color-scheme: light dark; }
  .ground { fill: #ffffff; }
  text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1a1f24; }
  .name { font-weight: 600; }
  .flow { font-size: 17px; font-weight: 600; }
  .stage { fill: #f3f6f9; stroke: #57606a; }
  .effect { fill: #dcf3e3; stroke: #1a7f37; }
  .exit { fill: #fdeceb; stroke: #b3261e; }
  .way { fill: none; stroke: #57606a; stroke-width: 1.5; }
  .head { fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; }
    text { fill: #e6edf3; }
    .stage { fill: #1c2430; stroke: #8b949e; }
    .effect { fill: #12361f; stroke: #3fb950; }
    .exit { fill: #3d1618; stroke: #f47067; }
    .way { stroke: #8b949e; }
    .head { fill: #8b949e; }
  }
`;

/** @param paths of any number of flows; those without a flow are drawn as what is denied at once */
export function pathPicture(paths: readonly FlowPath[]): string {
  const drawing = new Drawing();
  const flows = [...new Set(paths.flatMap(({ flow }) => flow ?? []))];
  for (const flow of flows)
    drawing.flow(
      flow,
      paths.filter((path) => path.flow === flow),
    );
  for (const path of paths.filter(({ flow }) => flow === undefined)) drawing.ungoverned(path);
  const title = flows.map(({ metadata }) => metadata.name).join(', ');
  const parts = flows.map((flow) =>
    descriptionOf(
      flow,
      paths.filter((path) => path.flow === flow),
    ),
  );
  return drawing.finish(`Paths of ${title === '' ? 'no flow' : title}`, parts.join(' '));
}

class Drawing {
  readonly #shapes: string[] = [];
  #y = padding;

  flow(flow: Flow, paths: readonly FlowPath[]): void {
    this.#heading(flow.metadata.name, `Governs each ${flow.on} for which ${governedWords(flow)}.`);
    for (const stage of flow.stages) this.#stage(stage, outcomesAt(stage, paths));
    this.#box('stage', stageLeft, stageWidth, [{ text: 'completed', isName: true }]);
    this.#y += gap;
  }

  ungoverned(path: FlowPath): void {
    const conditions = pathConditions(path);
    const words = conditions.length === 0 ? 'whatever the facts' : conditions.join('; ');
    this.#heading(`${path.on} that no flow governs`, words);
    this.#box('exit', stageLeft, stageWidth, [{ text: endWords(path.end), isName: true }]);
    this.#y += gap;
  }

  finish(title: string, description: string): string {
    const height = this.#y + padding;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">`,
      `<title id="title">${escaped(title)}</title>`,
      `<desc id="description">${escaped(description)}</desc>`,
      `<style>${pictureStyle}</style>`,
      '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0 8 4 0 8Z"/></marker></defs>',
      `<rect class="ground" width="${width}" height="${height}"/>`,
      ...this.#shapes,
      '</svg>',
      '',
    ].join('\n');
  }

  #heading(name: string, words: string): void {
    this.#y += lineHeight;
    this.#text('flow', stageLeft, this.#y, name);
    for (const line of wrapped(words, stageLetters + exitLetters)) {
      this.#y += lineHeight;
      this.#text('', stageLeft, this.#y, line);
    }
    this.#y += padding;
  }

  #stage(stage: Stage, outcomes: readonly StepOutcome[]): void {
    const top = this.#y;
    const lines = [
      { text: stage.id, isName: true },
      ...[...whatWords(stage), ...waiverWords(stage, outcomes)].flatMap((text) =>
        wrapped(text, stageLetters).map((line) => ({ text: line, isName: false })),
      ),
    ];
    const stageBottom = this.#box('effect' in stage ? 'effect' : 'stage', stageLeft, stageWidth, lines);
    const exits = exitsOf(stage, outcomes);
    let exitBottom = top;
    for (const exit of exits) {
      this.#y = exitBottom;
      const middle = exitBottom + padding + lineHeight / 2;
      this.#way(
        `M${stageLeft + stageWidth} ${Math.min(middle, stageBottom - padding)} H${exitLeft - 30} V${middle} H${exitLeft}`,
      );
      const text = wrapped(exit, exitLetters).map((line) => ({ text: line, isName: false }));
      exitBottom = this.#box('exit', exitLeft, width - exitLeft - padding, text) + padding;
    }
    const bottom = Math.max(stageBottom, exitBottom - padding) + gap;
    const centre = stageLeft + stageWidth / 2;
    this.#way(`M${centre} ${stageBottom} V${bottom}`);
    const around: readonly string[] = ['skipped', 'passed-over', 'not-told', 'waived'];
    const isSkippable = outcomes.some(({ is }) => around.includes(is));
    if (isSkippable) {
      const beside = stageLeft - 24;
      this.#way(`M${stageLeft} ${top + lineHeight} H${beside} V${bottom - padding} H${centre - 6}`);
    }
    this.#y = bottom;
  }

  /** @returns where it ends */
  #box(kind: string, left: number, boxWidth: number, lines: readonly { text: string; isName: boolean }[]): number {
    const height = lines.length * lineHeight + padding;
    this.#shapes.push(
      `<rect class="${kind}" x="${left}" y="${this.#y}" width="${boxWidth}" height="${height}" rx="6"/>`,
    );
    for (const [index, { text, isName }] of lines.entries())
      this.#text(isName ? 'name' : '', left + padding, this.#y + (index + 1) * lineHeight, text);
    this.#y += height;
    return this.#y;
  }

  #text(kind: string, x: number, y: number, text: string): void {
    this.#shapes.push(`<text${kind === '' ? '' : ` class="${kind}"`} x="${x}" y="${y}">${escaped(text)}</text>`);
  }

  #way(d: string): void {
    this.#shapes.push(`<path class="way" d="${d}" marker-end="url(#head)"/>`);
  }
}

function outcomesAt(stage: Stage, paths: readonly FlowPath[]): readonly StepOutcome[] {
  return paths.flatMap(({ steps }) => steps.filter((step) => step.stage === stage).map(({ outcome }) => outcome));
}

/** The ends that a request can come to at this stage, each once, in words. */
function exitsOf(stage: Stage, outcomes: readonly StepOutcome[]): readonly string[] {
  return [...new Set(outcomes.flatMap((outcome) => exitWords(stage, outcome) ?? []))];
}

function exitWords(stage: Stage, outcome: StepOutcome): string | undefined {
  const words = stepWords({ stage, outcome });
  switch (outcome.is) {
    case 'skipped':
    case 'passed-over':
    case 'waived':
    case 'verified':
    case 'approved':
    case 'proven':
    case 'waited':
    case 'begun':
    case 'notified':
    case 'not-told':
      return undefined;
    case 'timed-out':
      return `${outcome.result === 'deny' ? 'denied' : 'expired'}: ${words}`;
    case 'request-timed-out':
      return `expired: ${words}`;
    case 'refused':
    case 'not-evaluated':
    case 'denied-by-approver':
    case 'identity-expired':
    case 'new-owner-not-active':
    case 'published-meanwhile':
    case 'outside-policy':
      return words;
  }
}

/** What a stage does, as it is written in the flow: the picture is read beside the file. */
function whatWords(stage: Stage): readonly string[] {
  const when = stage.when === undefined ? [] : [`when ${oneLine(stage.when)}`];
  if ('verify' in stage) return [...when, `verify ${oneLine(stage.verify.that)}`];
  if ('approval' in stage) {
    const { escalate, denials = 1 } = stage.approval;
    const wider = escalate === undefined ? [] : [`after ${durationWords(escalate.after)} also ${escalate.to}`];
    const blocked = denials === 1 ? [] : [`denied only by ${denierWords(stage)}`];
    return [...when, `approval by ${approverWords(stage, false)}`, ...wider, ...blocked];
  }
  if ('stepUp' in stage) return [...when, stepWords({ stage, outcome: { is: 'proven' } })];
  if ('wait' in stage) return [...when, `wait ${durationWords(stage.wait.for)}`];
  if ('effect' in stage) return [stepWords({ stage, outcome: { is: 'begun' } })];
  return [...when, stepWords({ stage, outcome: { is: 'notified' } })];
}

/** For whom it is waived, each exception once. */
function waiverWords(stage: Stage, outcomes: readonly StepOutcome[]): readonly string[] {
  const by = outcomes.flatMap((outcome) => (outcome.is === 'waived' ? outcome.by : []));
  return [...new Set(by)].map((exception) => stepWords({ stage, outcome: { is: 'waived', by: [exception] } }));
}

function governedWords({ subject: { kind, where } }: Flow): string {
  const parts = [
    ...(kind === undefined ? [] : [`the kind is ${kind}`]),
    ...(where === undefined ? [] : [oneLine(where)]),
  ];
  return parts.length === 0 ? 'no other flow is more specific' : parts.join(' and ');
}

function descriptionOf({ metadata }: Flow, paths: readonly FlowPath[]): string {
  const ends = paths.map(
    (path, index) => `${index + 1}: ${path.steps.at(-1)?.stage.id ?? 'no stage'}, ${endWords(path.end)}`,
  );
  return `${metadata.name} has ${paths.length} paths. ${ends.join('. ')}.`;
}

const oneLine = (guard: string): string => guard.replaceAll(/\s+/g, ' ').trim();

/** Lines of at most so many characters, broken between words; a longer word is cut where the line ends. */
function wrapped(text: string, letters: number): readonly string[] {
  const words = text.split(' ').flatMap((word) => word.match(new RegExp(`.{1,${letters}}`, 'gu')) ?? []);
  return words.reduce<string[]>((lines, word) => {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= letters) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
    return lines;
  }, []);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
