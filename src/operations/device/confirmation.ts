import type { Note } from '../../block/types.js'
import { printable, refused } from '../../errors.js'
import { parseSize } from '../../formats/options.js'
import type { TargetDescription } from './description.js'

/** How the user's word is had that this very disk is meant. */
export interface Confirmation {
  /** The word for programs; both are needed: that it is meant, and the serial or size of what is meant. */
  readonly yes?: boolean
  readonly confirm?: string
  /** Asks a person, and gives what was typed; undefined: nothing. */
  readonly ask?: (question: ConfirmationQuestion) => Promise<string | undefined>
}

/** What a person should know before the answer. */
export interface ConfirmationFacts {
  /** What is read: a whole disk, or one partition. Bytes; described where it is a disk of this computer. */
  readonly source: {
    readonly kind: 'disk' | 'partition'
    readonly name: string
    readonly size: number
    readonly device?: TargetDescription
  }
  readonly target: TargetDescription
  /** Whether what is written came from this very disk, as far as that is known. */
  readonly origin?: string
  /** What guards have against it, and flags let pass. */
  readonly overridden: readonly string[]
  /** What will not be as before, or may be wrong with what is read. */
  readonly notes: readonly Note[]
}

export interface ConfirmationQuestion extends ConfirmationFacts {
  /**
   * What must be typed, and what that is: the target's name, the serial of a system disk, its size where it has none.
   */
  readonly expected: string
  readonly what: 'name' | 'serial' | 'size in bytes'
}

/**
 * Has the user say which disk is meant.
 * @throws ImageError refused E_NOT_CONFIRMED, E_WRONG_CONFIRMATION. No flag overrides this.
 */
export async function confirmTarget(
  facts: ConfirmationFacts,
  { yes = false, confirm, ask }: Confirmation,
): Promise<void> {
  const { target } = facts
  const { serial, size, path } = target
  const isSystem = target.system.length > 0
  if (yes && confirm !== undefined) {
    // The size of a system disk is no proof that it is meant: many disks have it.
    if (confirm === serial || ((!isSystem || serial === undefined) && sizeOf(confirm) === size)) return
    const wanted = identification(target)
    throw refused(
      'E_WRONG_CONFIRMATION',
      `--confirm says ${printable(confirm)}, and ${path} has ${printable(wanted)}: nothing was written`,
      { hint: 'Look which disk is meant: "vdisk disks". No flag overrides this.' },
    )
  }
  if (ask === undefined) {
    throw refused('E_NOT_CONFIRMED', `${path} would be overwritten, and nobody has confirmed that it is meant`, {
      hint:
        `Run it on a terminal, or say both --yes and --confirm with the disk's ` +
        `serial${isSystem && serial !== undefined ? '' : ' or size'}.`,
    })
  }
  const [expected, what] = !isSystem
    ? ([target.name, 'name'] as const)
    : serial === undefined
      ? ([String(size), 'size in bytes'] as const)
      : ([serial, 'serial'] as const)
  const typed = (await ask({ ...facts, expected, what }))?.trim()
  if (typed === expected || (what === 'name' && typed === path)) return
  throw refused(
    'E_NOT_CONFIRMED',
    typed === undefined || typed === ''
      ? `${path} was not confirmed: nothing was written`
      : `${printable(typed)} is not the ${what} of ${path}: nothing was written`,
  )
}

/** What --confirm could have said. */
function identification({ serial, size, system }: TargetDescription): string {
  if (serial === undefined) return `no serial, and ${size} bytes`
  return system.length > 0 ? `the serial ${serial}` : `the serial ${serial}, and ${size} bytes`
}

function sizeOf(text: string): number | undefined {
  try {
    return parseSize(text)
  } catch {
    // A serial that is none of this disk's is no size either.
    return undefined
  }
}
