import type { Note } from '../block/types.js'
import type { Work } from '../block/work.js'
import { printable, unsupported } from '../errors.js'
import type { Location } from '../location/location.js'
import { isPartialName } from '../location/partial.js'
import { extensionOf } from '../sys/host-path.js'
import type { Wrapped, WrapperContext, WrapperDriver } from './driver.js'
import type { MemberOptions } from './member-file.js'
import { chooseMember, noMember } from './members.js'
import { OpenedWrapper } from './opened-wrapper.js'
import { partOf, type ProbedFile } from './probe.js'
import { promisedKind } from './promised-kind.js'
import { endsAsDmg } from './signatures.js'
import type { Unwrapped } from './wrapping.js'

/** Files inside files inside files: deeper ones are not met outside attacks. */
const mostWrappers = 3

export interface UnwrapOptions extends MemberOptions {
  /** Asked once there is something to unwrap; what it says is among the notes. */
  readonly found?: () => readonly Note[]
  /** Which of several disks is wanted (members.ts). */
  readonly member?: string
  /** What a wrapper at that place may ask for. */
  readonly context: (at: Location) => WrapperContext
  /** How many wrappers are taken off; what is left is given as it is. All, when left out. */
  readonly depth?: number
}

/** What lies in a file of several disks, none of them opened. The store stays the caller's. */
export interface Contents extends Wrapped {
  readonly id: string
  readonly title: string
}

/**
 * What a wrapper holds; undefined where the file is an image itself. Compressed files around archives are unpacked.
 * @throws ImageError
 */
export function* contentsOf(file: ProbedFile, self: Location, options: UnwrapOptions): Work<Contents | undefined> {
  let current: Unwrapped = { file, location: self, wrappings: [], notes: [] }
  try {
    for (let depth = 0; depth < mostWrappers; depth++) {
      const driver = wrapperOf(current)
      if (driver === undefined) return undefined
      const wrapped = yield* driver.open(current.file.store, options.context(current.location))
      const [only, ...others] = wrapped.members
      if (wrapped.appliance !== undefined || only === undefined || others.length > 0)
        return { ...wrapped, id: driver.id, title: driver.title, notes: [...current.notes, ...(wrapped.notes ?? [])] }
      current = yield* opened(current, driver, options)
    }
    return undefined
  } finally {
    current.file.store[Symbol.dispose]()
  }
}

/**
 * Takes an image out of compressed files and archives, until something is there that is none. The store is the
 * result's, and closed when that fails. What was looked at to find that out is not looked at again: `file` has it.
 * @throws ImageError corrupt; unsupported E_TOO_DEEP, and what a wrapper does not read; target E_NO_SPACE.
 */
export function* unwrap(file: ProbedFile, self: Location, options: UnwrapOptions): Work<Unwrapped> {
  return taken(yield* innermost({ file, location: self, wrappings: [], notes: [] }, options), options)
}

/** The store of what it begins with is the result's, and closed when that fails. */
function* innermost(start: Unwrapped, options: UnwrapOptions): Work<Unwrapped> {
  let current = start
  try {
    for (;;) {
      const driver = wrapperOf(current)
      if (driver === undefined || current.wrappings.length === options.depth) return current
      if (current.wrappings.length === mostWrappers) {
        throw unsupported(
          'E_TOO_DEEP',
          `${start.location.label} holds more than ${mostWrappers} files inside each other`,
          {
            hint: 'Unpack the outer ones first.',
          },
        )
      }
      if (current.wrappings.length === 0)
        current = { ...current, notes: [...(options.found?.() ?? []), ...nameNotes(current, driver)] }
      current = yield* opened(current, driver, options)
    }
  } catch (error) {
    current.file.store[Symbol.dispose]()
    throw error
  }
}

/** @throws ImageError usage E_NO_MEMBER where one of several disks was asked for and nothing holds any. */
function taken(unwrapped: Unwrapped, { member }: UnwrapOptions): Unwrapped {
  const { file, wrappings } = unwrapped
  // An image of several disks chooses one by itself.
  const choosesItself = file.drivers('certain').some(({ severalDisks }) => severalDisks === true)
  if (member !== undefined && !choosesItself && wrappings.every((wrapping) => wrapping.member === undefined))
    throw noMember(file.store.name, member, [])
  return unwrapped
}

/** The wrapper that the content is of: where a disk's own format is certain, that is what it is. */
function wrapperOf({ file, location, plain }: Unwrapped): WrapperDriver | undefined {
  if (plain === true) return undefined
  const { store, registry } = file
  const { name } = location
  if (store.size === 0 || (name !== undefined && isPartialName(name))) return undefined
  // What a part of an image begins with is its guest's.
  if (name !== undefined && partOf(name, registry) !== undefined) return undefined
  const { head, tail } = file.ends
  if (endsAsDmg(tail)) return undefined
  const found = registry.wrappers.find((driver) => driver.probe(head, tail, store.size) === 'certain')
  return found === undefined || file.drivers('certain').length > 0 ? undefined : found
}

/** A file that is named as something else. A guest can write into its raw disk what makes it look compressed. */
function nameNotes({ file: { store, registry }, location: { name } }: Unwrapped, driver: WrapperDriver): Note[] {
  const { title, extensions } = driver
  const promised = name === undefined ? undefined : promisedKind(name, registry)
  if (name === undefined || promised === undefined || promised.id === driver.id) return []
  if (promised.plain !== true) {
    if (extensions.includes(extensionOf(name).slice(1).toLowerCase())) return []
    const message = `${store.name} is named ${printable(extensionOf(name))}, but it is a file of the kind ${title}`
    return [{ code: 'W_EXTENSION', message }]
  }
  return [
    {
      code: 'W_EXTENSION',
      message:
        `${store.name} is named ${printable(extensionOf(name))}, as a raw disk, but looks like a file of the kind ` +
        `${title}, and what is in it is read: --from ${registry.plain.id} says that its bytes are those of the disk`,
    },
  ]
}

function* opened(outer: Unwrapped, driver: WrapperDriver, options: UnwrapOptions): Work<Unwrapped> {
  const { file, location } = outer
  const wrapped = yield* driver.open(file.store, options.context(location))
  const member = chooseMember(wrapped.members, file.store.name, options.member)
  const { scratchFolder, forward, context } = options
  const goOn = (inner: Unwrapped): Work<Unwrapped> => innermost(inner, { scratchFolder, context })
  return yield* new OpenedWrapper(outer, driver, wrapped, { scratchFolder, forward, goOn }).top(member)
}
