import { parseName } from '../names.ts';
import { type BrokenRule, duplicates, type FlowSketch, suggest } from './flowRules.ts';
import { type FlowException, stageKind } from './language.ts';

/** What exceptions may not say of the flow that they stand in. */
export function exceptionRules(flow: Pick<FlowSketch, 'stages' | 'exceptions'>): readonly BrokenRule[] {
  const { exceptions } = flow;
  const twice = duplicates(exceptions.map((exception) => exception?.id)).map((index) => ({
    path: ['exceptions', index, 'id'],
    reason: `there is an exception '${exceptions[index]?.id}' already: ids tell exceptions apart in evidence`,
  }));
  return [
    ...twice,
    ...exceptions.flatMap((exception, index) =>
      exception === undefined
        ? []
        : [...stageRules(flow, exception, index), ...nameRules(exceptions.slice(0, index), exception, index)],
    ),
  ];
}

function stageRules(
  { stages }: Pick<FlowSketch, 'stages'>,
  { stages: waived }: FlowException,
  index: number,
): readonly BrokenRule[] {
  const ids = stages.flatMap((stage) => stage?.id ?? []);
  const twice = duplicates(waived);
  return waived.flatMap((id, at): readonly BrokenRule[] => {
    const path = ['exceptions', index, 'stages', at];
    if (twice.includes(at)) return [{ path, reason: `'${id}' is here twice` }];
    const stage = stages.find((candidate) => candidate?.id === id);
    // A stage that could not be read may be the one.
    if (stage === undefined)
      return stages.includes(undefined) ? [] : [{ path, reason: `there is no stage '${id}'`, ...suggest(id, ids) }];
    const kind = stageKind(stage);
    if (kind === 'effect') return [{ path, reason: 'the effect is what the flow is for: it cannot be waived' }];
    if (kind === 'notify') return [{ path, reason: 'a notice keeps nobody out: there is nothing to waive' }];
    return [];
  });
}

/** Two spellings that a reader takes for one name: whoever reviews the one would agree to the other. */
function nameRules(
  earlier: readonly (FlowException | undefined)[],
  { subject }: FlowException,
  index: number,
): readonly BrokenRule[] {
  if (!('name' in subject)) return [];
  const key = keyOf(subject.name);
  for (const other of earlier) {
    if (other === undefined || !('name' in other.subject) || other.subject.name === subject.name) continue;
    if (keyOf(other.subject.name) !== key) continue;
    const reason = `this looks like '${other.subject.name}' of exception '${other.id}', and is another name`;
    return [{ path: ['exceptions', index, 'subject', 'name'], reason }];
  }
  return [];
}

function keyOf(name: string): string {
  const parsed = parseName(name);
  return parsed.ok ? parsed.key : name;
}
