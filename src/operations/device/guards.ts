import type { Note } from '../../block/types.js'
import { refused, type ImageError } from '../../errors.js'
import { metadataRefusals, shapeRefusals, sizeRefusals, tableRefusals } from './content-guards.js'
import { sourceRefusals } from './source-guards.js'
import type { GuardName, Refusal, TargetFacts, TargetOverrides } from './target-facts.js'
import { busyRefusals, kindRefusals, useRefusals } from './use-guards.js'

/** A guard that let the target pass. */
export interface GuardPass {
  readonly guard: GuardName
  /** Whether it would have refused, and the user's word let it pass. */
  readonly overridden: boolean
  /** What it found. */
  readonly message: string
}

/** The flag of each override. */
export const overrideFlags: Readonly<Record<keyof TargetOverrides, string>> = {
  allowSystemDisk: '--allow-system-disk',
  unmount: '--unmount',
  allowHeld: '--allow-held',
  allowSwap: '--allow-swap',
  clearReadOnly: '--clear-read-only',
  allowSourceOnTarget: '--allow-source-on-target',
  fit: '--fit',
  allowSectorSize: '--allow-sector-size',
  allowNoTable: '--allow-no-table',
  allowTableLoss: '--allow-table-loss',
  allowMisplacedMetadata: '--allow-misplaced-metadata',
}

/** What each guard says of a target that it has nothing against. */
const clear: Readonly<Record<GuardName, string>> = {
  medium: 'the target has a medium',
  kind: 'the target is a disk, a partition or a volume',
  'read-only': 'the target can be written',
  system: 'the running system does not need the target',
  source: 'nothing that is read lies on the target',
  mounted: 'nothing of the target is mounted',
  held: 'nothing holds the target',
  swap: 'the target is no swap space in use',
  locked: 'no program has locked the target',
  shape: 'what is written is of the kind of the target',
  size: 'the target is large enough',
  'sector-size': 'the partition table counts in sectors of the target',
  table: 'no part of a partition table lies inside the target',
  metadata: 'nothing that is written is looked for at the end of a disk of its size',
  busy: 'the system gives the target to one program alone',
}

/**
 * Asks every guard about a target. Pure: what the system says of its devices is given.
 * @returns the guards that were passed, and what the user should know.
 * @throws ImageError refused, with the code of the first guard that says no; the message has the reasons of all of
 * them.
 */
export function guardTarget(
  facts: TargetFacts,
  overrides: TargetOverrides = {},
): { readonly passed: readonly GuardPass[]; readonly notes: readonly Note[] } {
  const found = refusals(facts, overrides)
  const standing = found.filter(({ override }) => override === undefined || overrides[override] !== true)
  if (standing.length > 0) throw refusal(standing)
  const passed = (Object.keys(clear) as GuardName[]).map((guard): GuardPass => {
    const against = found.filter((each) => each.guard === guard)
    return {
      guard,
      overridden: against.length > 0,
      message: against.length === 0 ? clear[guard] : against.flatMap(({ reasons }) => reasons).join('; '),
    }
  })
  const { unknown } = facts.sourcePlace
  const notes =
    unknown.length === 0
      ? []
      : [
          {
            code: 'W_PLACE_UNKNOWN',
            message: `whether what is read lies on the target is not known: ${unknown.join('; ')}`,
          },
        ]
  return { passed, notes }
}

function refusal(standing: readonly Refusal[]): ImageError {
  const [first, ...others] = standing
  if (first === undefined) throw new RangeError('a refusal has a reason')
  const more = others.map(({ code, override }) =>
    override === undefined ? code : `${code} (${overrideFlags[override]})`,
  )
  return refused(first.code, standing.flatMap(({ reasons }) => reasons).join('; '), {
    hint: [first.hint, ...(more.length === 0 ? [] : [`Also refused: ${more.join(', ')}.`])].join(' '),
    details: {
      guards: standing.map(({ guard }) => guard).join(','),
      override: first.override === undefined ? undefined : overrideFlags[first.override],
    },
  })
}

function refusals(facts: TargetFacts, overrides: TargetOverrides): Refusal[] {
  const source = sourceRefusals(facts)
  return [
    ...kindRefusals(facts),
    ...useRefusals(facts),
    ...source,
    ...shapeRefusals(facts),
    ...sizeRefusals(facts, overrides),
    ...tableRefusals(facts),
    ...metadataRefusals(facts),
    // What is read is open already, for this program alone.
    ...(source.length > 0 ? [] : busyRefusals(facts)),
  ]
}
