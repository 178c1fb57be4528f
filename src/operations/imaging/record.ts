import fs from '../../sys/host-fs.js'
import type { ByteStore } from '../../block/types.js'
import type { Location } from '../../location/location.js'
import { writeWhole } from '../../location/partial.js'
import { corrupt, isImageError, printable } from '../../errors.js'
import { JsonChecker } from './json-checker.js'
import { imageRecordPath } from './companions.js'

/** Where the bytes of an image came from. Sizes and positions are bytes. */
export interface RecordedSource {
  readonly kind: 'disk' | 'partition'
  /** As the system named the disk or partition then; not its identity. */
  readonly path: string
  readonly model?: string
  readonly vendor?: string
  readonly serial?: string
  readonly wwn?: string
  readonly bus?: string
  /** Of the whole disk, also where a partition was imaged. */
  readonly size: number
  readonly logicalSectorSize: number
  readonly physicalSectorSize: number
  /** The disk's partition table: disk GUID (GPT), or disk signature (MBR), as `vdisk inspect` shows it. */
  readonly table?: { readonly scheme: string; readonly diskId?: string }
  /** What was imaged, where it was a partition. */
  readonly partition?: {
    readonly number: number
    readonly start: number
    readonly size: number
    readonly uuid?: string
    readonly label?: string
  }
}

const consistencyStates = [
  'cold',
  'frozen',
  'crash-consistent',
  'filesystem-consistent',
  'application-consistent',
] as const

/**
 * What the image is worth as a moment of the disk. `cold`: nothing wrote meanwhile; `frozen`: the mounted filesystems
 * were frozen; `crash-consistent`: it was in use, and the image is at best what a power cut would have left;
 * `filesystem-consistent`: of a snapshot that was taken while the filesystems were frozen;
 * `application-consistent`: of a snapshot for which programs brought their files in order too.
 */
export interface Consistency {
  readonly state: (typeof consistencyStates)[number]
  readonly why: string
}

/** A dirty bitmap that the disk of a virtual machine had when it was imaged. */
export interface RecordedBitmap {
  readonly name: string
  /** What it listed, in bytes of the disk. */
  readonly bytes: number
}

/** The image that another is a child of: only what differs from it is stored in the child. */
export interface RecordedParent {
  /** Its file, without folders. */
  readonly name: string
  /** The digest `tree1` of its disk, as its own record has it. */
  readonly digest: string
  /**
   * How the two were compared: by the digests beside the parent, or by reading the parent; or a dirty bitmap of the
   * disk said what had changed.
   */
  readonly compared: 'digests' | 'content' | 'bitmap'
}

/** A digest of a part of the disk, as if it were a disk. Hexadecimal, lower case. */
export interface RecordedDigest {
  readonly start: number
  readonly length: number
  readonly digest: string
}

/** What `vdisk image` writes beside an image: which disk it was made of, when, and how. */
export interface ImageRecord {
  readonly tool: { readonly name: string; readonly version: string }
  /** ISO 8601, UTC. */
  readonly started: string
  readonly ended: string
  readonly source: RecordedSource
  readonly consistency: Consistency
  /** `name` without folders. */
  readonly image: {
    readonly name: string
    readonly format: string
    readonly subformat: string
    readonly capacity: number
  }
  /**
   * Of the content of the image; `tree1` is what `vdisk hash --algorithm tree` says. The disk's digest may leave out
   * zeros that a format appends: see its length.
   */
  readonly digests: {
    readonly algorithm: 'sha256' | 'tree1'
    readonly disk: RecordedDigest
    readonly partitions: readonly (RecordedDigest & { readonly number: number })[]
  }
  /** What the filesystems do not use was left out. */
  readonly usedOnly: boolean
  /** The partitions that were kept, where not all were: the others read as zero. */
  readonly parts?: readonly number[]
  /** The dirty bitmaps that the disk had, where it was one of a virtual machine. */
  readonly bitmaps?: readonly RecordedBitmap[]
  /** What it is a child of; absent: it needs no other image. */
  readonly parent?: RecordedParent
  /** What could not be read: it is zero in the image. `map` is the name of the map file beside the image. */
  readonly unreadable: { readonly bytes: number; readonly map?: string }
}

/** A record is a few kilobytes; a table has few partitions. */
const maximumSize = 1048576
const maximumPartitions = 4096
/** Bitmaps that are recorded; more are not met. */
export const mostBitmaps = 64
const schema = 'vdisk.image-record'
const schemaVersion = 1

/** A record or map says about a disk what only those may know who may read its image. */
function modeOfImage(imagePath: string): number {
  const stat = fs.statSync(imagePath, { throwIfNoEntry: false })
  return stat === undefined ? 0o600 : stat.mode % 0o1000
}

/**
 * Writes the record of an image, in place of one that is there; whole or not at all.
 * @returns its path. @throws ImageError target E_WRITE, E_NO_SPACE, E_WRITE_PERMISSION.
 */
export function writeImageRecord(imagePath: string, record: ImageRecord): string {
  const path = imageRecordPath(imagePath)
  writeWhole(path, imageRecordText(record, 'lines'), modeOfImage(imagePath))
  return path
}

/** A record as JSON: in lines for people, or in one. */
export function imageRecordText(record: ImageRecord, layout?: 'lines'): string {
  const document = { schema, schemaVersion, ...record }
  return layout === 'lines' ? `${JSON.stringify(document, undefined, 2)}\n` : JSON.stringify(document)
}

/**
 * The record of an image; undefined when it has none.
 * @throws ImageError corrupt E_RECORD when there is one that cannot be understood.
 */
export function readImageRecord(imagePath: string): ImageRecord | undefined {
  const path = imageRecordPath(imagePath)
  return understood(path, () => recordText(path))
}

/**
 * The same of an image wherever it lies: what an object of another computer says of itself, or what lies beside it.
 * @param location where it was opened. @param named what the user named, which it may lie in.
 * @throws ImageError also those of reading it.
 */
export function recordAt(location: Location, named: Location): ImageRecord | undefined {
  const path = location.path ?? named.path
  if (path !== undefined) return readImageRecord(path)
  for (let place: Location | undefined = location; place !== undefined; place = place.outer) {
    const { note } = place
    if (note !== undefined) return understood(place.label, () => note)
  }
  const beside = named.beside?.(imageRecordPath(''))
  return beside === undefined ? undefined : understood(beside.label, () => textAt(beside))
}

/** A text at an address; undefined where there is none, or something that is no JSON: a page that says so. */
function textAt(location: Location): string | undefined {
  let store: ByteStore
  try {
    store = location.store()
  } catch (error) {
    // Servers do not say what is missing to who may not list a folder.
    if (isImageError(error) && (error.code === 'E_NOT_FOUND' || error.code === 'E_PERMISSION')) return undefined
    throw error
  }
  using opened = store
  if (opened.size > maximumSize) throw tooLarge(opened.size)
  const bytes = Buffer.alloc(opened.size)
  opened.read(0, bytes)
  return bytes[0] === 0x7b ? bytes.toString() : undefined
}

function understood(path: string, read: () => string | undefined): ImageRecord | undefined {
  try {
    const text = read()
    return text === undefined ? undefined : parseImageRecord(text)
  } catch (cause) {
    if (isImageError(cause)) throw cause
    throw corrupt(
      'E_RECORD',
      `the record ${printable(path)} cannot be understood: ` +
        printable(cause instanceof Error ? cause.message : String(cause)),
      {
        cause,
        hint: 'Delete the record if the image is known otherwise: it only says which disk the image was made of.',
      },
    )
  }
}

function recordText(path: string): string | undefined {
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  if (!stat.isFile()) throw new Error('it is no regular file')
  if (stat.size > maximumSize) throw tooLarge(stat.size)
  return fs.readFileSync(path, 'utf8')
}

function tooLarge(size: number): Error {
  return new Error(`it has ${size} bytes, and a record has at most ${maximumSize}`)
}

/**
 * A record from its JSON; members that are not known are left out. @throws Error that names the member which is not
 * right.
 */
export function parseImageRecord(text: string): ImageRecord {
  const top = JsonChecker.parse(text)
  if (top.text('schema') !== schema)
    throw new Error(`its schema is ${JSON.stringify(top.text('schema'))}, not ${JSON.stringify(schema)}`)
  const version = top.integer('schemaVersion')
  if (version !== schemaVersion) throw new Error(`it has version ${version}; this vdisk knows version ${schemaVersion}`)
  const tool = top.object('tool')
  const consistency = top.object('consistency')
  const image = top.object('image')
  const digests = top.object('digests')
  const unreadable = top.object('unreadable')
  const parts = top.integers('parts', maximumPartitions)
  const parent = top.optionalObject('parent')
  return {
    tool: { name: tool.text('name'), version: tool.text('version') },
    started: time(top, 'started'),
    ended: time(top, 'ended'),
    source: recordedSourceOf(top.object('source')),
    consistency: {
      state: consistency.choice('state', consistencyStates),
      why: consistency.text('why'),
    },
    image: {
      name: image.text('name'),
      format: image.text('format'),
      subformat: image.text('subformat'),
      capacity: image.integer('capacity'),
    },
    digests: {
      algorithm: digests.choice('algorithm', ['sha256', 'tree1']),
      disk: digest(digests.object('disk')),
      partitions: digests
        .objects('partitions', maximumPartitions)
        .map((each) => ({ number: each.integer('number'), ...digest(each) })),
    },
    usedOnly: top.boolean('usedOnly'),
    parts,
    bitmaps: top
      .optionalObjects('bitmaps', mostBitmaps)
      ?.map((each) => ({ name: each.text('name'), bytes: each.integer('bytes') })),
    parent: parent === undefined ? undefined : recordedParent(parent),
    unreadable: { bytes: unreadable.integer('bytes'), ...unreadable.optionalTexts(['map']) },
  }
}

/** A disk or partition from JSON. @throws Error that names the member which is not right. */
export function recordedSourceOf(checker: JsonChecker): RecordedSource {
  const kind = checker.choice('kind', ['disk', 'partition'])
  const table = checker.optionalObject('table')
  const partition = checker.optionalObject('partition')
  if ((partition !== undefined) !== (kind === 'partition'))
    throw new Error(`source is a ${kind} and ${partition === undefined ? 'names no partition' : 'names a partition'}`)
  return {
    kind,
    path: checker.text('path'),
    ...checker.optionalTexts(['model', 'vendor', 'serial', 'wwn', 'bus']),
    size: checker.integer('size'),
    logicalSectorSize: checker.integer('logicalSectorSize'),
    physicalSectorSize: checker.integer('physicalSectorSize'),
    table: table === undefined ? undefined : { scheme: table.text('scheme'), ...table.optionalTexts(['diskId']) },
    partition:
      partition === undefined
        ? undefined
        : {
            number: partition.integer('number'),
            start: partition.integer('start'),
            size: partition.integer('size'),
            ...partition.optionalTexts(['uuid', 'label']),
          },
  }
}

function recordedParent(checker: JsonChecker): RecordedParent {
  return {
    name: checker.text('name'),
    digest: digestText(checker),
    compared: checker.choice('compared', ['digests', 'content', 'bitmap']),
  }
}

function digest(checker: JsonChecker): RecordedDigest {
  return { start: checker.integer('start'), length: checker.integer('length'), digest: digestText(checker) }
}

function digestText(checker: JsonChecker): string {
  const text = checker.text('digest')
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error(`${checker.name}.digest is no digest of 64 hexadecimal digits`)
  return text
}

function time(checker: JsonChecker, member: string): string {
  const text = checker.text(member)
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text))
    throw new Error(`${member} is no time of the form 2026-11-23T04:05:06Z`)
  return text
}
