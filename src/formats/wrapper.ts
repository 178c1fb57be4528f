import type { BlockSource, ByteStore, Note } from '../block/types.js'
import type { Work } from '../block/work.js'
import type { ImageError } from '../errors.js'
import type { Location } from '../location/location.js'
import type { Finding } from './finding.js'

/** How sure a format, or a wrapper, is that a file is one of its own. */
export type Certainty = 'certain' | 'possible' | 'no'

/**
 * What gives a disk inside another file: a compressed stream, a member of an archive, an appliance. It finds where the
 * inner file is; what that is, is found again from its content, at most three deep.
 */
export interface WrapperDriver {
  readonly apiVersion: 1
  readonly kind: 'wrapper'
  /** Short, lower case: `gzip`. */
  readonly id: string
  readonly title: string
  /** Lower case, without the dot, most usual first. */
  readonly extensions: readonly string[]
  /** How the content is reached, for `vdisk formats`. */
  readonly access: string
  /** As of a FormatDriver. */
  probe(head: Uint8Array, tail: Uint8Array, size: number): Certainty
  /**
   * What is inside, from the file's structure; the content is not read. The store stays the caller's.
   * @throws ImageError corrupt; unsupported for kinds that are known and not read (encrypted, a method).
   */
  open(store: ByteStore, context: WrapperContext): Work<Wrapped>
}

/** What a wrapper may ask for besides its own file. */
export interface WrapperContext {
  /** What the file is called in its folder. */
  readonly name: string | undefined
  /**
   * Opens a file that the wrapper's own names, by one of the names that it may mean; the caller closes it. The gate
   * decides which files that may be. @throws ImageError reference.
   */
  readonly openNamed: (names: readonly string[]) => FoundFile
  /** A file beside it of exactly this name, to be closed by the caller; undefined where there is none. */
  readonly openBeside: (name: string) => ByteStore | undefined
}

/** A file of its own that a wrapper leads to. */
export interface FoundFile {
  readonly store: ByteStore
  readonly location: Location
}

/** What a wrapper holds. */
export interface Wrapped {
  /** The files in it that may be disks, in its order. */
  readonly members: readonly WrappedFile[]
  readonly notes?: readonly Note[]
  /** The virtual machines that it describes. */
  readonly appliance?: Appliance
  /** Judges what is around the disk: a manifest. `deep`: also reads everything that it has digests of. */
  readonly check?: (options: { readonly deep: boolean }) => Work<void, Finding>
  /** Compares the digests of the file of one of its members, read whole. For commands that read all of a disk. */
  readonly verify?: (member: WrappedFile) => Work<void, Finding>
}

/**
 * A file inside another: reached at any place (`source`), or only from its start to its end (`stream`), or a file of
 * its own that the wrapper names (`open`).
 */
export type WrappedFile = {
  /** Its name, where one is recorded. */
  readonly name?: string
  /** What the wrapper calls the disk in it, besides its name. */
  readonly id?: string
  /** Bytes of content, where that is known without decoding it. */
  readonly size?: number
  /** Bytes that the disk in it is to have, where that is recorded. */
  readonly capacity?: number
  /** Its bytes are those of a disk: a guest wrote them, and whatever they look like, it is read as it stands. */
  readonly plain?: boolean
  /** The size of the content where it is likely, and not known. */
  readonly likelySize?: number
  /** The disk below it, where the wrapper says that it holds changes to another. */
  readonly parent?: WrappedParent
  /** It is there for the sake of others, which lie over it: where no disk is asked for, it is not meant. */
  readonly isBase?: boolean
} & (
  | { readonly source: BlockSource; readonly stream?: undefined; readonly open?: undefined }
  | { readonly source?: undefined; readonly stream: WrappedStream; readonly open?: undefined }
  /** Its units are large: where they are not read one after the other, the stream is unpacked. */
  | { readonly source: BlockSource; readonly stream: WrappedStream; readonly open?: undefined }
  | { readonly source?: undefined; readonly stream?: undefined; readonly open: () => FoundFile }
)

/** What a wrapper says of the disk below one of its members. */
export interface WrappedParent {
  /** The id of the member that holds it. */
  readonly id: string
  /** Why none of the members is that one. */
  readonly problem?: ImageError
}

/**
 * How what is inside is reached. `units`: parts are decoded when they are read. `stored`: it lies in the file as it is.
 * `checkpoints`: all of it was decoded once, and decoding goes on from the nearest place that was kept. `stream`: it is
 * decoded while it is read, from its start to its end. `scratch`: all of it was unpacked into a scratch file, which is
 * gone when the image is closed. `file`: it is a file of its own.
 */
export type Access = 'units' | 'stored' | 'checkpoints' | 'stream' | 'scratch' | 'file'

/** The same for people. */
export const accessText: Readonly<Record<Access, string>> = {
  units: 'at any place, by its blocks',
  stored: 'at any place, stored as it is',
  checkpoints: 'at any place, from checkpoints in the stream',
  stream: 'as a stream, without a scratch file',
  scratch: 'unpacked into a scratch file',
  file: 'a file of its own',
}

/** Virtual machines and their disks. */
export interface Appliance {
  readonly machines: readonly Machine[]
  readonly disks: readonly MachineDisk[]
  /** Whether its manifest carries a signature, which vdisk does not verify. */
  readonly signed?: boolean
  /** The digest of its manifest, `SHA256`; undefined without a manifest. */
  readonly manifest?: string
}

export interface Machine {
  readonly name?: string
  /** The guest's operating system, as it is recorded. */
  readonly os?: string
  readonly cpus?: number
  /** Bytes. */
  readonly memory?: number
  readonly firmware?: 'bios' | 'uefi'
  /** The family of virtual hardware: `vmx-13`. */
  readonly hardware?: string
  readonly networks: readonly string[]
  /** Ids of its disks, in the order of its controllers. */
  readonly disks: readonly string[]
}

export interface MachineDisk {
  readonly id: string
  /** The file that holds it; undefined: the disk is empty. */
  readonly file?: string
  /** Bytes, as recorded. */
  readonly capacity?: number
  /** `scsi lsilogic`, `sata AHCI`, `ide`; undefined where no machine has it. */
  readonly controller?: string
  /** The id of the disk below it, as recorded: it holds changes to that one. */
  readonly parent?: string
}

/** A compressed stream: a range of bytes of the file, and the stream codec (src/codec/stream) that decodes it. */
export interface WrappedStream {
  readonly codec: string
  readonly start: number
  readonly end: number
  /** What the content must be, where the wrapper records it. */
  readonly expected?: { readonly size: number; readonly crc32: number }
}
