import type { ImageWriter } from '../block/image-writer.js'
import { printable, usage, type HostPath, type ImageError } from '../errors.js'
import type { Location } from '../location/location.js'
import type { ContentSums } from './content-sums.js'
import type { Finding } from './finding.js'
import type { Certainty } from './wrapper.js'
import type { BlockSource, ByteStore, Codec, Note, Section } from '../block/types.js'
import type { Work } from '../block/work.js'
import type { OptionSpec, OptionValues } from './option-specs.js'

export type { CopyTarget, ImageWriter } from '../block/image-writer.js'
export { compareContent, type ContentSums } from './content-sums.js'
export { chooseMember } from './members.js'
export {
  ignoreChecksums,
  ignoreChecksumsHint,
  subformatOption,
  unitOption,
  type OptionSpec,
  type OptionValues,
} from './option-specs.js'
export type { Finding } from './finding.js'
export type {
  Appliance,
  Certainty,
  FoundFile,
  Machine,
  MachineDisk,
  Wrapped,
  WrappedFile,
  WrappedParent,
  WrappedStream,
  WrapperContext,
  WrapperDriver,
} from './wrapper.js'

/** The version of this contract; a plugin's drivers state the one they were written for. */
export const driverApiVersion = 1

/** An image: one layer. Its chain of parents is put together by open.ts. */
export interface DiskImage extends BlockSource {
  /** The driver's id: `vhdx`. */
  readonly format: string
  /** One of the driver's subformats: `dynamic`. */
  readonly subformat: string
  /** What the user should know although the image opens. */
  readonly notes: readonly Note[]
  /** The parent this layer needs, when it is a differencing image. */
  readonly parentReference?: ParentReference | undefined
  /** Files other than the parent that the image names (external data file …), opened through the context. */
  readonly references?: readonly FileReference[]
  /** Set where `info` works and reading cannot: encrypted images. `extentAt` and `read` throw it. */
  readonly unreadable?: ImageError
  /** Name and identity that a child must record to find this image again (VHD: unique id, VHDX: DataWriteGuid). */
  readonly identity?: string
  /** Its internal snapshots, in the file's order; formats without such leave it out. */
  readonly snapshots?: readonly ImageSnapshot[]
  /**
   * What a dirty bitmap in it says has changed, as ascending runs of the disk's bytes. Formats without such leave it
   * out.
   * @throws ImageError usage E_NO_BITMAP; refused E_BITMAP_STALE; corrupt.
   */
  changes?(bitmap: string): Iterable<{ readonly offset: number; readonly length: number }>
  /** The names of its dirty bitmaps that can be relied on. @throws ImageError corrupt */
  readonly bitmaps?: readonly string[]
  /**
   * Bytes of the file that nothing but this snapshot uses: what deleting it gives back. Reports progress.
   * @param wanted as {@link chooseSnapshot} takes it. @throws ImageError usage E_SNAPSHOT_UNKNOWN,
   * E_SNAPSHOT_AMBIGUOUS; corrupt.
   */
  snapshotUse?(wanted: string): Work<number>
  /**
   * Makes a range ready to be read, where that may take long: what can only be decoded from its start is unpacked, with
   * progress. Reading does it otherwise, when it comes to it. @param offset bytes. @throws ImageError as reading.
   */
  prepare?(offset: number, length: number): Work<void>
  /**
   * The checksums over the content of the whole disk, or of large parts of it, that are recorded for a range: for
   * commands that read all of it, which give it what they read and then ask what is wrong. Undefined: there are none.
   * Formats that verify what they read leave it out.
   * An error stops the command, a warning becomes a note; errors are warnings where the user sets
   * {@link ignoreChecksums}, if the driver has that among its options for reading.
   * @param offset bytes.
   */
  contentSums?(offset: number, length: number): ContentSums | undefined
  /**
   * Compares the checksums over a range that are not over its content: of what is stored, of the file. For commands
   * that read all of a disk, before they give anything out.
   * Gives what `check` with `deep` gives; errors and warnings are as those of `contentSums`.
   * @param offset bytes. @throws ImageError as reading.
   */
  verify?(offset: number, length: number): Work<void, Finding>
  /** What `info` says of it beyond the common facts. */
  describe(): Section[]
  /**
   * Damage of this layer, found by looking at all of its structures (`vdisk check`); parents and the guest's data are
   * not judged.
   * Lazy, and in bounded memory whatever the image. The caller adds `notes` as warnings, except those that a finding
   * repeats with more
   * knowledge: its code is the same but for the first letter. `E_CHECKSUM` and `L_SLACK` stand for the notes
   * `W_CHECKSUM` and `W_SLACK`.
   * Between findings it reports progress, every few tens of milliseconds: the caller may stop there.
   */
  check?(options?: CheckOptions): Work<void, Finding>
}

export interface CheckOptions {
  /** Also decode every compressed unit. Data that is stored as it is, is read by the caller. */
  readonly deep?: boolean
  /**
   * Only tables, for a caller that reads the disk as well: what lies all over the file may be left to reading, which
   * then notes what it meets.
   */
  readonly tables?: boolean
}

/** An internal snapshot: the disk as it was once, kept in the same file. */
export interface ImageSnapshot {
  readonly id: string
  readonly name: string
  /** When it was taken, in seconds since 1970; undefined where that is not recorded. */
  readonly time?: number
  /** Bytes of its disk, as recorded; bigint only where they are more than can be. */
  readonly capacity: number | bigint
  /** Bytes of the state of a running machine that is kept with it; 0: none. */
  readonly vmStateSize: number | bigint
}

/** One thing that `repair` does. */
export interface RepairAction {
  /** The code of the finding that it mends: `E_CHECKSUM`. */
  readonly code: string
  readonly structure: string
  readonly position?: number
  /** What is done, in the present: `rebuild the header from its copy`. */
  readonly message: string
}

/** A file an image names. `path` is as the image gives it, with its own separators. */
export interface FileReference {
  readonly role: 'parent' | 'data-file' | 'extent'
  readonly path: string
}

/** How a differencing image names its parent. */
export interface ParentReference {
  /** The paths the image stores, most trusted first; Windows and POSIX forms as they stand. */
  readonly paths: readonly string[]
  /**
   * The format the image records for its parent. Undefined: not recorded (a raw parent is then never probed into
   * another format).
   */
  readonly format?: string
  /** The recorded identity, for messages and `info`. */
  readonly identity?: string
  /**
   * Set where the image records an identity and no name (VDI): whether a file is the parent, from its first 64 KiB. It
   * is then looked for among the files beside the image and in the folders of `--search`, whatever they are called.
   * Pure and total.
   */
  recognise?(head: Uint8Array): boolean
  /** @throws ImageError reference E_PARENT_ID, with both ids, when this is not the parent the child was made over. */
  verify(parent: DiskImage): void
  /**
   * What is odd about the right parent (`vdisk check`): another capacity, another time than the one recorded.
   * `structure` names the child's.
   * @param time when the parent's file was last modified, in seconds since 1970; undefined when it is no file.
   */
  check?(parent: DiskImage, time: number | undefined): Iterable<Finding>
}

/** A file of an image that is opened when it is needed. */
export interface OwnFile {
  readonly path: HostPath
  /** Bytes. */
  readonly size: number
  readonly device: bigint
  readonly inode: bigint
}

/** How an image inside others is opened. */
export interface InsideOptions {
  /** What it is called there: `sda1.img`. */
  readonly name: string
  /** The formats that it may be of: with one it is read as that, with several as what its content says. */
  readonly formats: readonly string[]
}

/** An image inside the files of another. */
export interface ImageInside extends BlockSource {
  readonly notes: readonly Note[]
  /** As of a DiskImage. */
  check(options: CheckOptions): Work<void, Finding>
  /** Compares the checksums that reading does not compare, of all of it. */
  verify(): Work<void, Finding>
}

export interface OpenContext {
  /**
   * The snapshot to read instead of the active disk, as {@link chooseSnapshot} takes it; drivers without snapshots
   * never
   * see it.
   */
  readonly snapshot?: string
  /** What the image is opened from: its name, for the parts of a set, and what lies beside it. */
  readonly self: Location
  /**
   * The gate for files an image names (not for its parent, which open.ts opens). Gives undefined when the caller only
   * wants to look
   * at the image itself (`info`): the driver then opens without the file, and `extentAt` throws where it would be
   * needed.
   * @param at where it is, when the image names it not, but the format finds it beside the image
   * (`self.sibling(name)`): the path is then taken as it stands.
   * @throws ImageError reference E_REFERENCE_MISSING, E_REFERENCE_NOT_ALLOWED.
   */
  openReference(reference: FileReference, at?: Location): ByteStore | undefined
  /**
   * Takes in a store that the image made of further files, which it opens when they are needed: they are among its
   * files then, and whether they changed is asked with the others. The image closes it.
   */
  include?(store: ByteStore, files: readonly OwnFile[]): void
  /**
   * Opens an image that lies in files of this one: a partition in the pieces of a backup. Compressed ones are unpacked.
   * The result owns the store, and closes it; so does a failure. @throws ImageError what opening an image throws.
   */
  openInside?(store: ByteStore, inside: InsideOptions): Work<ImageInside>
  /** The identity stays although the image is changed: its child hides every change (`chain commit`). */
  readonly keepsIdentity?: boolean
  /** What the disk shows is the same after all changes (`compact`, `chain rebase`): its children go on fitting it. */
  readonly keepsContent?: boolean
  /**
   * Options the user gave for reading (`--from-option key=value`), already checked against the driver's `openOptions`.
   */
  readonly options: OptionValues
}

export interface CreateContext {
  /** What the image is called in its folder: its further files are named after it. Undefined for a stream. */
  readonly name?: string
  /** The bytes are gone when they are written: a writer that can (`ImageWriter.appends`) then writes in order. */
  readonly onePass?: boolean
  /**
   * A further file of the image (external data file), beside it: made new, and renamed into place together with the
   * image.
   */
  createFile(name: string): ByteStore
}

/** What an image to be made is of. */
export interface DiskShape {
  /** Bytes; what a format cannot hold exactly is rounded up by the driver; the writer's `capacity` says to what. */
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly identity: ImageIdentity
  /** Set for a differencing image. */
  readonly parent?: ParentShape
}

/** Ids and time of a new image: the same identity gives the same bytes. */
export interface ImageIdentity {
  /** UUID text, lower case. */
  readonly uuid: string
  /** A further UUID for one more purpose; depends only on the identity and the name. */
  derive(name: string): string
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly time: number
}

export interface ParentShape {
  readonly image: DiskImage
  /** Absolute path of the parent on this host. */
  readonly path: string
  /** Path from the child's folder, with `/`. */
  readonly relativePath: string
  /** The name to record, for formats that have room for one only, where that is not to be `relativePath`. */
  readonly name?: string
  /** Modification time of the parent file in seconds since 1970. */
  readonly time: number
  /**
   * What its identity becomes while it is being changed: until that is over the child fits both (VHDX:
   * parent_linkage2).
   */
  readonly nextIdentity?: string
}

/** Changes an image that exists: allocate on write, ordered so that a crash never corrupts. */
export interface WritableImage extends DiskImage {
  /**
   * Takes effect at once for readers, and for ever with the next flush. @throws RangeError outside the disk; ImageError
   * target.
   */
  write(offset: number, bytes: Uint8Array): void
  /** The range reads as zero afterwards; whole blocks give their space back where the format can. */
  discard(offset: number, length: number): void
  /** Everything written so far outlives a power cut when this returns. */
  flush(): void
  /**
   * Another capacity, in bytes; what is added reads as zero, what is cut off is gone. @throws ImageError usage E_SIZE;
   * unsupported E_NO_RESIZE.
   */
  resize?(capacity: number): void
  /**
   * Whether a structure of this many bytes stands behind the disk's content, which a stop while it grows leaves in the
   * new part: the footer of a fixed VHD.
   */
  readonly behindContent?: number
  /**
   * Moves blocks down into unused space, so that the file is shorter when it is closed. Gives how far it is; may be
   * stopped anywhere.
   */
  compact?(): Work<void>
  /**
   * What `identity` becomes with the first change that the guest sees; left out where it stays, and nothing else that a
   * child records changes.
   */
  readonly nextIdentity?: string
  /**
   * Names another parent, or none, in a differencing image. Checks whether that can be, and gives what does it: only
   * the record of the
   * parent changes, at once and durably. What this layer leaves absent is the new parent's from then on, and zero
   * without one. A caller that wants
   * the same content has written before what differs. Afterwards the image is only relinked again, or closed.
   * @throws ImageError usage E_NOT_A_CHILD, E_PARENT_FORMAT, E_PARENT_PATH …; reference E_PARENT_SECTOR.
   */
  relink?(parent: ParentShape | undefined): () => void
  /**
   * Keeps the disk as it is now as an internal snapshot. It is there, durable, when the last step is done, and not at
   * all before: a power
   * cut or a stop leaves the image without it. `time` in seconds since 1970.
   * @throws ImageError usage E_SNAPSHOT_NAME, E_SNAPSHOT_EXISTS; corrupt where it could damage something.
   */
  takeSnapshot?(wanted: { readonly name: string; readonly time: number }): Work<ImageSnapshot>
  /**
   * Deletes the snapshot that {@link chooseSnapshot} finds, in the same way. @throws ImageError usage
   * E_SNAPSHOT_UNKNOWN, E_SNAPSHOT_AMBIGUOUS; corrupt.
   */
  deleteSnapshot?(wanted: string): Work<void>
}

/** A format: the only thing its folder exports. */
export interface FormatDriver {
  readonly apiVersion: 1
  /** Short, lower case: `qcow2`. What --from and --to take. */
  readonly id: string
  readonly title: string
  /** Lower case, without the dot, most usual first. */
  readonly extensions: readonly string[]
  /** Subformats that can be created, the default first. */
  readonly subformats: readonly { readonly id: string; readonly summary: string }[]
  readonly features: {
    readonly parents: 'read' | 'create' | 'none'
    readonly snapshots: boolean
    readonly compression: readonly string[]
    readonly sectorSizes: readonly (512 | 4096)[]
    /** `any`: a child may have another size than its parent, for other programs too. */
    readonly childSize?: 'any'
    /** Its images may hold dirty bitmaps (see {@link DiskImage.changes}). */
    readonly bitmaps?: boolean
  }
  /** Codecs that it brings besides those built in (docs/extending.md); `packed` extents and units name them. */
  readonly codecs?: readonly Codec[]
  /**
   * Set where the file is the disk, byte for byte (raw): nothing recognises it, it records no sector size, and what a
   * guest writes can look like any other format. Of the formats known, the first such one is what files are read as
   * that nothing else claims.
   */
  readonly plain?: boolean
  /** Create options. */
  readonly options: readonly OptionSpec[]
  /** Options for reading. */
  readonly openOptions?: readonly OptionSpec[]
  /**
   * Whether this is an image of the format. Pure and total: never throws, whatever the bytes.
   * `head` is the file's first 64 KiB, `tail` its last 64 KiB (both shorter when the file is), `size` the file's bytes.
   */
  probe(head: Uint8Array, tail: Uint8Array, size: number): Certainty
  /**
   * Whether a file of that name is a part of an image, whatever is in it: a guest's bytes begin it, which may look like
   * any format (`disk-flat.vmdk`). Such a file is given to `open`, which finds the image that it belongs to.
   */
  isPartName?(name: string): boolean
  /**
   * Of a format whose disk may be a folder: the file in it from which the disk is opened, by the names of what is in
   * the folder; undefined where it is no such disk. Pure and total.
   */
  folderFile?(names: ReadonlySet<string>): string | undefined
  /**
   * Whether an image holds several disks, of which `context.self.member` says which is wanted ({@link chooseMember}).
   */
  readonly severalDisks?: boolean
  /**
   * Whether a file of the format's extension that is no image of it may be a raw disk (`.dmg`), from its first 64 KiB
   * and size. Left out: it is refused, since it may be a damaged image. Pure and total.
   */
  mayBeRaw?(head: Uint8Array, size: number): boolean
  /** One layer; opens no parent. The image owns the store from here on, and closes it. @throws ImageError */
  open(store: ByteStore, context: OpenContext): DiskImage
  /**
   * The writer owns the store until `finish` or dispose, but does not close it. @throws ImageError usage for options
   * that do not go together.
   */
  create?(store: ByteStore, shape: DiskShape, options: OptionValues, context: CreateContext): ImageWriter
  /** What a user should know of an image of that capacity (bytes) with those options: who will not take it. */
  createNotes?(shape: Pick<DiskShape, 'capacity' | 'parent'>, options: OptionValues): readonly Note[]
  /**
   * Whether `openWritable` changes images of several files: `openReference` then gives stores that can be written,
   * which the image closes.
   */
  readonly changesExtents?: boolean
  /**
   * Opens an image to change it; the store is writable, and the image closes it. `parent`: the disk below a
   * differencing image, for units that are changed in part. A journal is replayed first. @throws ImageError also
   * refused where its state forbids writing.
   */
  openWritable?(store: ByteStore, context: OpenContext, parent?: BlockSource): WritableImage
  /**
   * Mends what can be mended without guessing, in the store itself: does one thing, flushed so that stopping between
   * two leaves an
   * image no worse, then gives it. The caller hands in a copy, or a store that keeps the changes in memory (a dry run).
   * The caller
   * then checks the result: what is left is not mendable. @throws ImageError corrupt where nothing can be made of the
   * image.
   */
  repair?(store: ByteStore, context: OpenContext): Work<void, RepairAction>
}

/**
 * The snapshot that somebody means: by its id or its name, or by `id:2` and `name:2`, which mean only that.
 * @throws ImageError usage E_SNAPSHOT_UNKNOWN, with those there are; E_SNAPSHOT_AMBIGUOUS, with those that it may mean.
 */
export function chooseSnapshot<S extends Pick<ImageSnapshot, 'id' | 'name'>>(
  snapshots: readonly S[],
  wanted: string,
  imageName: string,
): S {
  const [, kind, text] = /^(id|name):(.*)$/s.exec(wanted) ?? []
  const exact = snapshots.filter((snapshot) => kind !== undefined && snapshot[kind as 'id' | 'name'] === text)
  const found = exact.length > 0 ? exact : snapshots.filter(({ id, name }) => id === wanted || name === wanted)
  const [only, ...others] = found
  if (only === undefined) {
    throw usage(
      'E_SNAPSHOT_UNKNOWN',
      `${imageName}: has no snapshot "${printable(wanted)}"; ` +
        (snapshots.length === 0 ? 'it has none at all' : `there are ${listed(snapshots)}`),
    )
  }
  if (others.length === 0) return only
  throw usage('E_SNAPSHOT_AMBIGUOUS', `${imageName}: "${printable(wanted)}" can mean ${listed(found)}`, {
    hint: howToChoose(snapshots, found),
    details: { snapshots: found.map(({ id, name }) => `${id}\t${name}`).join('\n') },
  })
}

function listed(snapshots: readonly Pick<ImageSnapshot, 'id' | 'name'>[]): string {
  const first = snapshots.slice(0, 20).map(({ id, name }) => `${printable(id)} (${printable(name)})`)
  const more = snapshots.length - first.length
  return first.join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** An argument for each snapshot that means no other; undefined where two are the same in both. */
function howToChoose(
  all: readonly Pick<ImageSnapshot, 'id' | 'name'>[],
  found: readonly Pick<ImageSnapshot, 'id' | 'name'>[],
): string | undefined {
  const ways = found.slice(0, 20).flatMap(({ id, name }) => {
    if (all.filter((other) => other.id === id).length === 1) return [`id:${printable(id)}`]
    return all.filter((other) => other.name === name).length === 1 ? [`name:${printable(name)}`] : []
  })
  return ways.length === 0 ? undefined : `Say which one: ${ways.join(' or ')}.`
}

/**
 * Formats of Microsoft have children of another size than their parent; what lies past the parent's end is the child's
 * alone, or zero.
 */
export function parentCapacityNotes({ capacity, parent }: Pick<DiskShape, 'capacity' | 'parent'>): Note[] {
  if (parent === undefined || parent.image.capacity === capacity) return []
  return [
    {
      code: 'W_PARENT_CAPACITY',
      message:
        `the disk has ${capacity} bytes, that of the parent ${parent.path} ${parent.image.capacity}: Windows may ` +
        'refuse the chain',
    },
  ]
}
