import type { Note } from '../block/types.js'
import type { Work } from '../block/work.js'
import type { Location } from '../location/location.js'
import type { Finding } from './finding.js'
import type { ProbedFile } from './probe.js'
import type { Access, WrappedParent, Wrapped } from './wrapper.js'

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
  /** The disk below it, where a wrapper says which that is. */
  readonly below?: DiskBelow
  readonly wrappings: readonly Wrapping[]
  readonly notes: readonly Note[]
}

/** What a wrapper says of the disk below an image, to be opened while that image is open. */
export interface DiskBelow extends WrappedParent {
  /** @throws ImageError as {@link unwrap}. */
  open(): Work<Unwrapped>
}
