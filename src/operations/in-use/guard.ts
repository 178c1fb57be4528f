import type { DiskPlatform, Holder } from '../../device/types.js'
import { effectOf } from '../../device/bytes.js'
import { printable, refused, type ImageError } from '../../errors.js'
import { isInSet } from '../../location/backup-set.js'
import { realPath } from '../../sys/host-path.js'
import type { ChainOptions } from '../open/opening.js'
import { childNames, childrenOfFile } from './children.js'
import { thisMachine } from './machine.js'

type Change = 'changed' | 'replaced' | 'deleted'

/** Those of the chain say how images that may be children are opened. */
export interface InUseOptions extends ChainOptions {
  /** Whether children go on fitting the file and showing what they did, or were looked for in another way. */
  readonly keepsChildren?: boolean
  /** The machine; this one when left out. */
  readonly machine?: DiskPlatform
}

/**
 * Refuses to change or replace a file whose bytes somebody else has: a mounted filesystem, swap space, a loop device
 * or volume, a server, a program that locked it, other images that have it as their parent. A file that does not exist
 * is nobody's. An image of a backup set is refused too: all later points would change with it.
 *
 * Every operation that changes, replaces or deletes a file of the user asks here: those that change an image in place
 * by {@link openToChange}, those that make a file by `checkTarget`.
 * @param what what would be done, as in `be changed`.
 * @throws ImageError refused E_MOUNTED, E_SWAP, E_LOCKED, E_IN_USE, E_IN_SET, E_OTHER_CHILDREN.
 */
export function guardChange(path: string, what: Change, options: InUseOptions = {}): void {
  if (options.ofSet !== true && isInSet(realPath(path) ?? path))
    throw refused('E_IN_SET', `${printable(path)} cannot be ${what}, it is an image of a backup set`, {
      hint:
        'Points of a set are only read: convert it to an image of its own first. vdisk backup prune takes points ' +
        'away. No flag overrides this.',
    })
  const machine = options.machine ?? thisMachine()
  const trail = machine.trail?.(path, 'write')
  if (trail !== undefined && machine.holders !== undefined) {
    const refusal = refusalOf(path, what, machine.holders(trail), options.allowInUse === true)
    if (refusal !== undefined) throw refusal
  }
  if (options.keepsChildren !== true && options.allowOtherChildren !== true) guardChildren(path, what, options)
}

const insteadOf: Readonly<Record<Change, string>> = {
  changed: 'Make the change in a child, or flatten the others first (vdisk chain flatten)',
  replaced: 'Give the target another name, or flatten the others first (vdisk chain flatten)',
  deleted: 'Flatten them first (vdisk chain flatten)',
}

/** @throws ImageError refused E_OTHER_CHILDREN when other images beside a file read through it. */
function guardChildren(path: string, what: Change, options: ChainOptions): void {
  const children = childrenOfFile(path, options)
  if (children.length === 0) return
  throw refused(
    'E_OTHER_CHILDREN',
    `${printable(path)} cannot be ${what}, it is the parent of ${childNames(children)}`,
    {
      hint:
        `${insteadOf[what]}. --allow-other-children goes on nevertheless: a child then shows other content, or does ` +
        'not open any more.',
    },
  )
}

interface Rule {
  readonly kinds: readonly Holder['kind'][]
  readonly code: string
  readonly hint: string
  readonly override?: true
}
const rules: readonly Rule[] = [
  { kinds: ['mount'], code: 'E_MOUNTED', hint: 'Unmount it first. No flag overrides this.' },
  { kinds: ['swap'], code: 'E_SWAP', hint: 'Stop using it first (swapoff). No flag overrides this.' },
  {
    kinds: ['lock'],
    code: 'E_LOCKED',
    hint: 'Stop the virtual machine, server or mount that uses it first. No flag overrides this.',
  },
  {
    kinds: ['device', 'server'],
    code: 'E_IN_USE',
    hint:
      'Detach it first (losetup -d, vgchange -an, cryptsetup close, vdisk unmount). --allow-in-use goes on all the ' +
      'same: what uses it may then see old and new content mixed.',
    override: true,
  },
]

function refusalOf(path: string, what: string, holders: readonly Holder[], allowed: boolean): ImageError | undefined {
  const standing = rules.filter(
    ({ kinds, override }) => !(allowed && override === true) && holders.some(({ kind }) => kinds.includes(kind)),
  )
  const [first] = standing
  if (first === undefined) return undefined
  const reasons = holders
    .filter(({ kind }) => standing.some(({ kinds }) => kinds.includes(kind)))
    .map(({ reason }) => reason)
  return refused(first.code, `${printable(path)} cannot be ${what}, it is in use: ${reasons.join('; ')}`, {
    hint: first.hint,
    details: { holders: reasons.join('\n') },
  })
}

/**
 * Refuses to change a file in place by what is read from it, under whatever name or through whatever device.
 * @throws ImageError refused E_SOURCE_ON_TARGET.
 */
export function guardSource(target: string, sources: readonly string[], options: InUseOptions = {}): void {
  const machine = options.machine ?? thisMachine()
  const written = machine.trail?.(target, 'write')
  if (written === undefined) return
  for (const source of sources) {
    const read = machine.trail?.(source, 'read')
    const effect = read === undefined ? undefined : effectOf(written, read)
    if (effect === undefined) continue
    throw refused(
      'E_SOURCE_ON_TARGET',
      `${printable(source)}, which is read, ` +
        (effect === 'upon'
          ? `is the device that ${printable(target)} lies on, which is to be changed`
          : `is stored in ${printable(target)}, which is to be changed`),
      { hint: 'Copy the source to a file of its own first. No flag overrides this.' },
    )
  }
}
