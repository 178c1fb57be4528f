import type { ByteStore } from '../../block/types.js'
import { finish, perform, type Work, type WorkOptions } from '../../block/work.js'
import type { Progress } from '../../engine/progress.js'
import fs from '../../sys/host-fs.js'
import { printable, usage } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import { diskIn } from '../../formats/disk-folder.js'
import { openWork, type OpenedImage, type OpenOptions } from '../../formats/open.js'
import type { ContentProof } from '../../formats/opened.js'
import type { ReadingForward } from '../../formats/member-file.js'
import type { Wrapping } from '../../formats/wrapping.js'
import type { Access } from '../../formats/wrapper.js'
import type { ParentMapping } from '../../location/parent-map.js'
import { Registry } from '../../formats/registry.js'
import { openDiskVolume } from './disk-volumes.js'
import { isPointAddress } from '../../location/backup-set.js'
import { assertPoint, setDamageNotes, setOf } from '../backup/links.js'
import { holdForReading, watchWriters } from '../in-use/reading.js'
import {
  openPartition,
  parseSelector,
  readPartitionTable,
  selectPartition,
  type PartitionSelector,
} from '../../partition/index.js'

/** How the parents and further files of images are found. */
export interface ChainOptions {
  /** The formats known; those built in when left out. */
  readonly registry?: Registry
  /** The format of parents whose children record none; `auto` takes what their content says. */
  readonly parentFormat?: string
  /** Files outside the images' folders (or folders of them) that images may name. */
  readonly allowReferences?: readonly string[]
  /** Folders in which parents are looked for by the last part of their names. */
  readonly search?: readonly string[]
  /** Where parents lie that were moved. */
  readonly parentMap?: readonly ParentMapping[]
  /**
   * Says nothing of files that another program writes to while they are read; changes a file although something else
   * has it, where that can be overridden.
   */
  readonly allowInUse?: boolean
  /** Changes or replaces a file although other images have it as their parent. */
  readonly allowOtherChildren?: boolean
  /** Whether it is the backup set itself that changes one of its images. */
  readonly ofSet?: boolean
}

/** How an image is opened for reading. */
export interface ReadOptions extends ChainOptions {
  /** The format's id; found from the content when left out. */
  readonly from?: string
  /** Options for reading, of the formats of the image and its parents. */
  readonly fromOptions?: OptionValues
  /** An internal snapshot to read instead of the active disk, by id or name. */
  readonly snapshot?: string
}

/** What opening any image of a chain needs of them. */
export function chainOptions({
  registry,
  parentFormat,
  allowReferences,
  search,
  parentMap,
  allowInUse,
  allowOtherChildren,
  ofSet,
}: ChainOptions): ChainOptions & Pick<OpenOptions, 'watch'> {
  const watch = allowInUse === true ? undefined : watchWriters()
  return {
    registry,
    parentFormat,
    allowReferences,
    search,
    parentMap,
    allowInUse,
    allowOtherChildren,
    ofSet,
    watch,
  }
}

/** Of operations that read an image once: see {@link readingForward}. */
export interface Forward {
  readonly forward?: ReadingForward
}

type GuardOption = 'parentFormat' | 'parentMap' | 'allowInUse' | 'allowOtherChildren' | 'ofSet'

/** What opening the image asked for needs of them. */
export function readOptions(options: ReadOptions & Forward): OpenOptions & Pick<ReadOptions, GuardOption> {
  return {
    ...chainOptions(options),
    from: options.from,
    options: options.fromOptions,
    snapshot: options.snapshot,
    forward: options.forward,
  }
}

/** An image that is read, as results name it. Sizes are bytes. */
export interface SourceInfo {
  readonly path: string
  readonly format: string
  readonly subformat: string
  /** `partition 2`, when it is not the whole disk. */
  readonly part?: string
  readonly capacity: number
  /** How the content of a compressed file, or of an archive, is reached. */
  readonly access?: Access
}

/**
 * An argument that names an image, or a part of one: `disk.vhdx@2`, `disk.vhdx@label=EFI`, `disk.vhdx@uuid=…`,
 * `disk.vhdx@lv=vg/root`.
 */
export interface ImageArgument {
  readonly path: string
  readonly partition?: PartitionSelector
}

/**
 * Takes an argument apart. A file that really has such a name is that file.
 * @throws ImageError usage E_NO_PARTITION where what follows an image names no part of one.
 */
export function parseImageArgument(text: string): ImageArgument {
  const at = text.lastIndexOf('@')
  if (at <= 0 || fs.existsSync(text)) return { path: text }
  const [path, wanted] = [text.slice(0, at), text.slice(at + 1)]
  const partition = parseSelector(wanted)
  if (partition !== undefined) return { path, partition }
  // A folder may be a backup set, and an address have a user's name.
  // An archive may hold several disks, of which one is named so.
  if (!wanted.startsWith('disk=') && fs.existsSync(path) && fs.statSync(path).isFile())
    throw usage('E_NO_PARTITION', `${printable(path)} has no partition ${printable(JSON.stringify(wanted))}`, {
      hint:
        'Partitions are counted from 1, as vdisk partition list shows them: disk.vhdx@1, disk.vhdx@label=EFI, ' +
        'disk.vhdx@uuid=ID, disk.vhdx@lv=GROUP/VOLUME.',
    })
  return { path: text }
}

/**
 * The path of an argument that must name a whole disk. @throws ImageError usage E_NOT_A_DISK when it names a partition.
 */
export function wholeDisk(argument: string, purpose: string): string {
  const { path, partition } = parseImageArgument(argument)
  if (partition !== undefined)
    throw usage('E_NOT_A_DISK', `${purpose} works on a whole disk, and ${argument} is a partition`, {
      hint: 'Leave out what follows the @.',
    })
  return path
}

/**
 * Opens an image with its chain, or a partition or logical volume of it as a disk of its own.
 * @throws ImageError; usage E_NO_PARTITION, E_PARTITION_AMBIGUOUS, E_EXTENDED_PARTITION, E_NO_VOLUME; corrupt
 * E_PART_PAST_END.
 */
export function openDisk(argument: string, options: OpenOptions): OpenedImage {
  return finish(openDiskWork(argument, options))
}

/** How long work reports and is stopped. */
export interface LaterOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** As {@link openDisk}, letting signals through: a compressed file may have to be unpacked first. */
export async function openDiskLater(argument: string, options: OpenOptions, later: LaterOptions): Promise<OpenedImage> {
  return await perform(openDiskWork(argument, options), performing(later))
}

/**
 * Makes all of an image ready that is going to be read as a whole: what can only be decoded from its start is unpacked
 * with progress. It is closed when that fails. @throws ImageError; aborted.
 */
export async function prepared(opened: OpenedImage, later: LaterOptions): Promise<OpenedImage> {
  try {
    await perform(opened.prepare(), performing(later))
    return opened
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}

/**
 * Compares the checksums of an image that reading does not compare, before a command that reads all of it gives
 * anything out. @throws ImageError corrupt E_CHECKSUM; as reading; aborted.
 */
export async function verifyStored(opened: OpenedImage, later: LaterOptions): Promise<undefined> {
  await perform(opened.verify(), performing(later, 'read'))
  return undefined
}

/**
 * The same for who reads all of the disk in order, and gives out nothing before the end: those over the content are
 * taken on the way. The result is given what is read, and then asked; undefined where there are none.
 */
export async function verifyWhileRead(opened: OpenedImage, later: LaterOptions): Promise<ContentProof | undefined> {
  const proof = opened.contentProof()
  await perform(opened.verify(proof), performing(later, 'read'))
  return proof
}

/**
 * How work reports. What is done before a disk can be read at any place is a phase of its own: it goes through a file
 * from its start.
 */
export function performing({ signal, onProgress }: LaterOptions, phase: Progress['phase'] = 'unpack'): WorkOptions {
  return { signal, onProgress: ({ done, total }) => onProgress?.({ phase, done, total }) }
}

/**
 * Opens an image with its chain, wherever its address leads, step by step. An image of a backup set stays as it is
 * while it is read: a prune finds it in use.
 * @throws ImageError
 */
export function* openAddressWork(
  address: string,
  options: OpenOptions & Pick<ChainOptions, 'ofSet'>,
): Work<OpenedImage> {
  const { schemes } = options.registry ?? new Registry()
  const place = diskIn(schemes.locate(address), options)
  const opened = yield* openWork(place.store(), place, { ...options, from: options.from ?? place.format })
  const set = options.ofSet === true ? undefined : setOf(place)
  if (set === undefined) return opened
  const held = holdForReading(opened.layers.flatMap(({ files }) => files))
  try {
    const isPoint = isPointAddress(address)
    if (isPoint) assertPoint(address, opened)
    return opened.heldBy(held, isPoint ? [] : setDamageNotes(set, opened))
  } catch (error) {
    opened[Symbol.dispose]()
    held[Symbol.dispose]()
    throw error
  }
}

function* openDiskWork(argument: string, options: OpenOptions): Work<OpenedImage> {
  const { path, partition: selector } = parseImageArgument(argument)
  const opened = yield* openAddressWork(path, options)
  if (selector === undefined) return opened
  try {
    const {
      top: { name },
    } = opened
    if ('volume' in selector) {
      const { volume } = selector
      return opened.composed(openDiskVolume(opened, volume, name), [], `logical volume ${volume}`)
    }
    const partition = selectPartition(readPartitionTable(opened), selector, name)
    const source = openPartition(opened, partition, name)
    const part = opened.withPart(`partition ${partition.number}`, source, partition.start, partition.type.id)
    if (options.chain !== 'optional') yield* part.prepare()
    return part
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}

/** An image that can be read, not only looked at. @throws ImageError */
export function openReadable(path: string, options: ReadOptions): OpenedImage {
  return readable(openDisk(path, readOptions(options)))
}

/** As {@link openReadable}, letting signals through. */
export async function openReadableLater(
  path: string,
  options: ReadOptions & LaterOptions & Forward,
): Promise<OpenedImage> {
  return readable(await openDiskLater(path, readOptions(options), options))
}

/** As {@link openReadableLater}, from a store that the result owns and closes; so does a failure. */
export async function openStoreLater(store: ByteStore, options: ReadOptions & LaterOptions): Promise<OpenedImage> {
  try {
    return readable(await perform(openWork(store, undefined, readOptions(options)), performing(options)))
  } catch (error) {
    // Work that was stopped before its first step has not seen it.
    store[Symbol.dispose]()
    throw error
  }
}

function readable(opened: OpenedImage): OpenedImage {
  const { unreadable } = opened
  if (unreadable === undefined) return opened
  opened[Symbol.dispose]()
  throw unreadable
}

/** What a result says of an image that was read. */
export function sourceInfo(path: string, { top: { image, wrappings }, part, capacity }: OpenedImage): SourceInfo {
  return { path, format: image.format, subformat: image.subformat, part, capacity, access: accessOf(wrappings) }
}

/** Of several files inside each other: the way that costs most. */
function accessOf(wrappings: readonly Wrapping[]): Access | undefined {
  const ways = wrappings.map(({ access }) => access)
  return (['scratch', 'stream', 'checkpoints', 'units', 'stored'] as const).find((way) => ways.includes(way))
}
