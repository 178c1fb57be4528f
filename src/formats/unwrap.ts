import type { Note } from '../block/types.js'
import type { Work } from '../block/work.js'
import { printable, unsupported } from '../errors.js'
import type { Location } from '../location/location.js'
import { isPartialName } from '../location/partial.js'
import { MemberLocation } from '../location/member.js'
import { extensionOf } from '../sys/host-path.js'
import type { Wrapped, WrapperContext, WrapperDriver } from './driver.js'
import type { Finding } from './finding.js'
import { memberFile, type MemberOptions } from './member-file.js'
import { chooseMember, noMember } from './members.js'
import { partOf, ProbedFile } from './probe.js'
import { endsAsDmg } from './signatures.js'
import type { Access } from './wrapper.js'

/** Files inside files inside files: deeper ones are not met outside attacks. */
const mostWrappers = 3

/** What an image lies in, outermost first. */
export interface Wrapping {
  /** The wrapper's id and title: `gzip`. */
  readonly id: string
  readonly title: string
  /** Bytes of the outer file, and of what is in it. */
  readonly size: number
  readonly content: number
  /** The name of what is in it, where it has several or records one. */
  readonly member?: string
  readonly access: Access
  /** Bytes that it says the disk has. */
  readonly capacity?: number
  /** The machines that it describes. */
  readonly appliance?: Wrapped['appliance']
  /** As of what was wrapped. */
  readonly check?: Wrapped['check']
  /** Compares the digests that it has of the file of the disk. */
  readonly verify?: () => Work<void, Finding>
}

/** A file without what it was wrapped in, and what it looks like. Its store owns what it came from. */
export interface Unwrapped {
  readonly file: ProbedFile
  readonly location: Location
  /** Set where that is a file of its own, which a wrapper leads to. */
  readonly own?: Location
  /** Set where it is a disk byte for byte, whatever it looks like. */
  readonly plain?: boolean
  readonly wrappings: readonly Wrapping[]
  readonly notes: readonly Note[]
}

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
  let current: Unwrapped = { file, location: self, wrappings: [], notes: [] }
  try {
    for (;;) {
      const driver = wrapperOf(current)
      if (driver === undefined || current.wrappings.length === options.depth) return taken(current, options)
      if (current.wrappings.length === mostWrappers) {
        throw unsupported('E_TOO_DEEP', `${self.label} holds more than ${mostWrappers} files inside each other`, {
          hint: 'Unpack the outer ones first.',
        })
      }
      if (current.wrappings.length === 0)
        current = { ...current, notes: [...(options.found?.() ?? []), ...namedRaw(current, driver)] }
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

/** A guest can write into its raw disk what makes it look like a compressed file. */
function namedRaw({ file: { store, registry }, location: { name } }: Unwrapped, { title }: WrapperDriver): Note[] {
  if (name === undefined || registry.forExtension(name)?.plain !== true) return []
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
  const {
    file: { store, registry },
    location,
  } = outer
  const { members, notes = [], appliance, check, verify } = yield* driver.open(store, options.context(location))
  const member = chooseMember(members, store.name, options.member)
  const name = member.name === undefined ? store.name : `${printable(member.name)} in ${store.name}`
  const size = store.size
  const wrapping = {
    id: driver.id,
    title: driver.title,
    size,
    member: member.name,
    capacity: member.capacity,
    appliance,
    check,
    verify: verify === undefined ? undefined : () => verify(member),
  }
  const all = [...outer.notes, ...notes]
  if (member.open !== undefined) {
    const found = member.open()
    store[Symbol.dispose]()
    const content = found.store.size
    return {
      file: new ProbedFile(found.store, registry),
      location: found.location,
      own: found.location,
      wrappings: [...outer.wrappings, { ...wrapping, content, access: 'file' }],
      notes: all,
    }
  }
  const fileName = member.name ?? innerName(location, driver)
  const inner = yield* memberFile(outer.file, member, { name, fileName }, options)
  return {
    file: inner,
    location: new MemberLocation(location, fileName, name),
    own: outer.own,
    plain: member.plain,
    wrappings: [
      ...outer.wrappings,
      {
        ...wrapping,
        content: inner.store.size,
        get access() {
          return inner.access
        },
      },
    ],
    notes: all,
  }
}

/** `disk.vhd.gz` holds `disk.vhd`. */
function innerName({ name }: Location, { extensions }: WrapperDriver): string | undefined {
  if (name === undefined) return undefined
  const extension = extensionOf(name)
  return extensions.includes(extension.slice(1).toLowerCase()) ? name.slice(0, -extension.length) : name
}
