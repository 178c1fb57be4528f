import type { ByteStore } from '../block/types.js'
import type { HostPath, Label } from '../errors.js'
import type { UploadTarget } from './upload.js'

/**
 * A location is what a source or target *is*, before anything is known of its format: a file of this computer, a
 * folder, a device, an export of a server, a member of an archive, a stream.
 *
 * Commands have an address (what the user typed); `registry.schemes.locate(address)` makes a location of it
 * (schemes.ts). Formats see the one that they are opened from as `context.self`. Code that adds a kind of source
 * (http, an archive's member, the disk inside a compressed stream) implements {@link Location}, and either adds a
 * {@link Scheme} for addresses or hands the location to `openLocation` (src/formats/open.ts).
 *
 * Four names, for four purposes, and none does another's work:
 * - `id`: which bytes these are. Compared, and nothing else: two locations with the same id are the same bytes.
 * - `address`: finds it again. What results, records and `--allow-reference` name it by.
 * - `name`: what it is called in its folder, exactly: a set finds its other parts by it (`disk.001` → `disk.002`), and
 *   a format its extension.
 * - `label`: for people. Escaped; the compiler refuses it where something is opened.
 *
 * Names are bytes. A name of this system whose bytes are not UTF-8 holds lone surrogates for them (src/sys/host-fs.ts).
 */
export interface Location {
  /** The id of the scheme that made it: `file`, `nbd`. */
  readonly scheme: string
  readonly kind: 'file' | 'folder' | 'device' | 'export' | 'member' | 'stream'
  /**
   * @throws ImageError when it is not there: of a file it is the system's device and inode, and asks the system.
   */
  readonly id: LocationId
  readonly label: Label
  /** A path of this system, a URI, …; empty where nothing can be named (a stream). */
  readonly address: string
  /** Undefined where it has no name of its own (standard input, an export). */
  readonly name: string | undefined
  /** The format that it is read as when nobody says otherwise; undefined: what its content says. */
  readonly format?: string
  /** Which of several disks in it is meant, where the address says so: `vm.ova@disk=data.vmdk`. */
  readonly member?: string
  /** What an object of another computer says of itself, once it was opened: the record of an image (JSON). */
  readonly note?: string
  /** For a file or device of this computer: the path that the system is to be given for it. */
  readonly path?: HostPath
  /**
   * Opens it for reading; the caller owns the result and closes it.
   * @throws ImageError usage E_NOT_FOUND, E_NOT_A_FILE, E_PERMISSION; unsupported E_FOLDER_IMAGE; corrupt E_READ.
   */
  store(): ByteStore
  /** Where the address leads to a link: the file that the link leads to, with its own name and neighbours. */
  readonly behind?: Location
  /**
   * What lies beside it under exactly this name: one name, not a path, and nothing in it is understood (`..`, `/` and
   * NUL are no names). Undefined where there is nothing of that name.
   */
  sibling(name: HostPath): Location | undefined
  /**
   * The names beside it, its own among them, unsorted; none where it has no neighbours.
   * @throws ImageError usage E_PERMISSION when they cannot be listed.
   */
  siblings(): readonly string[]
  /**
   * Of an object of another computer: the place of a small file that belongs to it, by its name with an ending
   * (`.vdisk.json`) behind it. Left out where objects have no neighbours.
   */
  beside?(ending: string): Location
  /** What is in it, where it is a folder. */
  list?(): readonly Location[]
  /**
   * Of an object of another computer: its server and path, without what opens it (a name, a signature). A target may be
   * none of what is read.
   */
  readonly place?: string
  /** What it lies in, where it is a member. */
  readonly outer?: Location
  /**
   * Of a disk whose server keeps lists of what was written (dirty bitmaps): the runs of one, in order, in bytes.
   * @throws ImageError usage E_NO_BITMAP.
   */
  changes?(list: string): Iterable<{ readonly offset: number; readonly length: number }>
  /** The names of those lists. @throws ImageError those of connecting. */
  changeLists?(): readonly string[]
  /**
   * Where whole objects of another computer can be made at this address: what writes to it. Nothing is asked of the
   * server yet. @throws ImageError usage, for settings that are missing.
   */
  upload?(): UploadTarget
}

declare const idBrand: unique symbol

/** Which bytes a location is. Equal for equal bytes, under whatever name; good for nothing but being compared. */
export type LocationId = string & { readonly [idBrand]: true }

/** The id of a file or device of this computer. */
export function fileId(file: { readonly device: bigint; readonly inode: bigint }): LocationId {
  return `file ${file.device} ${file.inode}` as LocationId
}

/**
 * The id of something that is no file of its own. @param scheme the scheme's id. @param parts what distinguishes it
 * from all others: for a member of an archive the archive's id and the range of bytes, for an export its URI.
 */
export function otherId(scheme: string, ...parts: readonly (string | number)[]): LocationId {
  return JSON.stringify([scheme, ...parts]) as LocationId
}

/** One kind of address. */
export interface Scheme {
  /** Lower case: `nbd`. */
  readonly id: string
  /** For messages: `an export of an NBD server`. */
  readonly title: string
  /** Whether an address is meant for this scheme, well formed or not. Looks at the text alone. */
  matches(address: string): boolean
  /** Nothing is opened yet. @throws ImageError usage when the address is not well formed. */
  locate(address: string): Location
}

/** Whether a name is one, and not a path: what {@link Location.sibling} takes. */
export function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')
}
