import type { ByteStore } from '../block/types.js'
import type { Label } from '../errors.js'
import { otherId, type Location, type LocationId } from './location.js'

/** What lies inside another file: the content of a compressed file, a member of an archive. It names no other file. */
export class MemberLocation implements Location {
  readonly scheme = 'member'
  readonly kind = 'member'
  readonly address: string
  readonly label: Label
  readonly name: string | undefined
  readonly outer: Location

  /** @param name what it is called inside. @param label what messages call it. */
  constructor(outer: Location, name: string | undefined, label: string) {
    this.outer = outer
    this.name = name
    this.label = label as Label
    this.address = outer.address
  }

  get id(): LocationId {
    return otherId('member', this.outer.id, this.name ?? '')
  }

  /** The opener has the store already (formats/unwrap.ts): nothing finds this by its location alone. */
  store(): ByteStore {
    return this.outer.store()
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }
}
