import { SharedStore } from '../block/shared-store.js'
import type { ByteStore } from '../block/types.js'
import { finish, type Work } from '../block/work.js'
import { printable, reference, usage } from '../errors.js'
import type { Location } from '../location/location.js'
import { MemberLocation, type Neighbours } from '../location/member.js'
import { extensionOf } from '../sys/host-path.js'
import { memberFile, type MemberFile, type MemberOptions } from './member-file.js'
import { ProbedFile } from './probe.js'
import { promisedKind } from './promised-kind.js'
import type { Registry } from './registry.js'
import type { Wrapped, WrappedFile, WrapperDriver } from './wrapper.js'
import type { DiskBelow, Unwrapped, Wrapping } from './wrapping.js'

interface WrapperOptions extends MemberOptions {
  /** Takes off what a member is wrapped in itself. The store is the result's, and closed when that fails. */
  readonly goOn: (inner: Unwrapped) => Work<Unwrapped>
}

/** What is said of the wrapper as a whole, once: with the member that was asked for. */
type About = Pick<Wrapped, 'appliance' | 'check' | 'notes'>

/** A member whose bytes are in the file of the wrapper. */
type StoredMember = Exclude<WrappedFile, { readonly open: unknown }>

/**
 * A file that holds others, opened: gives the member that is asked for, the disks below it where the wrapper says which
 * those are, and the files beside it that it names.
 */
export class OpenedWrapper implements Neighbours {
  readonly names: readonly string[]
  readonly #byName = new Map<string, StoredMember | 'several'>()
  readonly #outer: Unwrapped
  readonly #driver: WrapperDriver
  readonly #wrapped: Wrapped
  readonly #options: WrapperOptions
  /** The outer file: each member that is open holds it. */
  readonly #shared: SharedStore

  constructor(outer: Unwrapped, driver: WrapperDriver, wrapped: Wrapped, options: WrapperOptions) {
    this.#outer = outer
    this.#driver = driver
    this.#wrapped = wrapped
    this.#options = options
    this.#shared = new SharedStore(outer.file.store)
    for (const member of wrapped.members)
      if (member.name !== undefined && member.open === undefined)
        this.#byName.set(member.name, this.#byName.has(member.name) ? 'several' : member)
    this.names = [...this.#byName.keys()]
  }

  /** The member that was asked for. The outer file belongs to the result; when that fails, it stays the caller's. */
  *top(member: WrappedFile): Work<Unwrapped> {
    const about = this.#wrapped
    const { own, wrappings, notes } = this.#outer
    const { wrapping, ...inner } =
      member.open === undefined
        ? yield* this.#stored(member, this.#shared, this.#options, about)
        : this.#elsewhere(member, about)
    if (member.open !== undefined) this.#shared[Symbol.dispose]()
    return {
      ...inner,
      own: inner.own ?? own,
      wrappings: [...wrappings, wrapping],
      notes: [...notes, ...(about.notes ?? [])],
    }
  }

  open(name: string): ByteStore {
    return finish(this.#beside(this.#named(name))).file.store
  }

  label(name: string): string {
    return `${printable(name)} in ${this.#outer.file.store.name}`
  }

  /** What a member of the name is, without what it is wrapped in itself: a disk that another names. */
  *unwrapped(name: string): Work<Unwrapped> {
    return yield* this.#goOn(this.#named(name))
  }

  #named(name: string): StoredMember {
    const member = this.#byName.get(name)
    if (member === 'several')
      throw usage(
        'E_WHICH_MEMBER',
        `${this.#outer.file.store.name} holds several files of the name ${printable(name)}`,
        {
          hint: 'Unpack it first, and name the disk.',
        },
      )
    if (member === undefined) throw new TypeError(`no member ${name}`)
    return member
  }

  *#goOn(member: WrappedFile): Work<Unwrapped> {
    const { wrapping, ...inner } = member.open === undefined ? yield* this.#beside(member) : this.#elsewhere(member)
    return yield* this.#options.goOn({ ...inner, wrappings: [wrapping], notes: [] })
  }

  /** One more member, while the first is open. */
  *#beside(member: StoredMember): Work<Inner> {
    const store = this.#shared.hold()
    try {
      return yield* this.#stored(member, store, { ...this.#options, forward: undefined })
    } catch (error) {
      store[Symbol.dispose]()
      throw error
    }
  }

  *#stored(member: StoredMember, store: ByteStore, options: MemberOptions, about: About = {}): Work<Inner> {
    const { location, file } = this.#outer
    const name = member.name === undefined ? store.name : this.label(member.name)
    const fileName = member.name ?? innerName(location, this.#driver, file.registry)
    const inner = yield* memberFile({ store, registry: file.registry }, member, { name, fileName }, options)
    const beside = this.names.length > 1 ? this : undefined
    return {
      file: inner,
      location: new MemberLocation(location, fileName, name, beside),
      plain: member.plain,
      below: this.#belowOf(member) ?? this.#outer.below,
      wrapping: this.#wrapping(member, inner, about),
    }
  }

  /** A file of its own. */
  #elsewhere(member: Extract<WrappedFile, { readonly open: () => unknown }>, about: About = {}): Inner {
    const { store, location } = member.open()
    return {
      file: new ProbedFile(store, this.#outer.file.registry),
      location,
      own: location,
      below: this.#belowOf(member),
      wrapping: this.#wrapping(member, { store, access: 'file' }, about),
    }
  }

  #wrapping(member: WrappedFile, inner: Pick<MemberFile, 'store' | 'access'>, { appliance, check }: About): Wrapping {
    const { id, title } = this.#driver
    const { verify } = this.#wrapped
    return {
      id,
      title,
      size: this.#shared.size,
      content: inner.store.size,
      member: member.name,
      get access() {
        return inner.access
      },
      capacity: member.capacity,
      appliance,
      check,
      verify: verify === undefined ? undefined : () => verify(member),
    }
  }

  #belowOf({ parent }: WrappedFile): DiskBelow | undefined {
    if (parent === undefined) return undefined
    const open = (): Work<Unwrapped> => this.#openBelow(parent)
    return { id: parent.id, open }
  }

  *#openBelow({ id, problem }: NonNullable<WrappedFile['parent']>): Work<Unwrapped> {
    if (problem !== undefined) throw problem
    const member = this.#wrapped.members.find((each) => each.id === id)
    if (member === undefined) throw reference('E_PARENT_MISSING', `${this.#outer.file.store.name} holds no disk ${id}`)
    return yield* this.#goOn(member)
  }
}

/** A member without what is known of the wrapper as a whole. */
interface Inner extends Omit<Unwrapped, 'wrappings' | 'notes'> {
  readonly wrapping: Wrapping
}

/** `disk.vhd.gz` holds `disk.vhd`, also where it is compressed in another way than its name says. */
function innerName({ name }: Location, { extensions }: WrapperDriver, registry: Registry): string | undefined {
  if (name === undefined) return undefined
  const extension = extensionOf(name)
  const isOfImage = registry.forExtension(name) !== undefined || promisedKind(name, registry)?.plain !== false
  const isOfWrapper = extensions.includes(extension.slice(1).toLowerCase()) || !isOfImage
  return isOfWrapper ? name.slice(0, -extension.length) : name
}
