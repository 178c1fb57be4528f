import { corrupt, ImageError, printable, unsupported } from '../errors.js'
import type { ByteStore, Note } from '../block/types.js'
import { isPartialName } from '../location/partial.js'
import { extensionOf } from '../sys/host-path.js'
import type { Certainty, FormatDriver } from './driver.js'
import { promisedKind } from './promised-kind.js'
import type { Registry } from './registry.js'
import { otherFile, type OtherFile } from './documents.js'
import { adviceFor, namedBackup } from './foreign-advice.js'
import { foreignFormat, unclaimedFormat } from './signatures.js'

const window = 65536

/** The first and the last 64 KiB of a file, or all of it. */
export interface FileEnds {
  readonly head: Uint8Array
  readonly tail: Uint8Array
}

function readEnds(store: ByteStore): FileEnds {
  const length = Math.min(window, store.size)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  // What the content turns out to be reads it whole.
  if (store.glance === undefined) store.read(0, head)
  else store.glance(0, head)
  store.read(store.size - length, tail)
  return { head, tail }
}

interface Judged {
  readonly driver: FormatDriver
  readonly certainty: Certainty
}

/** A file whose format is looked for: its ends are read once, and each driver is asked once, when it is needed. */
export class ProbedFile {
  readonly store: ByteStore
  readonly registry: Registry
  #ends: FileEnds | undefined
  #judged: readonly Judged[] | undefined

  /** @param ends where they were read already. */
  constructor(store: ByteStore, registry: Registry, ends?: FileEnds) {
    this.store = store
    this.registry = registry
    this.#ends = ends
  }

  get ends(): FileEnds {
    return (this.#ends ??= readEnds(this.store))
  }

  /** The formats that the content certainly, or possibly, is of; the plain one is not asked. */
  drivers(certainty: Certainty): FormatDriver[] {
    const { head, tail } = this.ends
    this.#judged ??= [...this.registry]
      .filter(({ driver }) => driver.plain !== true)
      .map(({ driver, origin }) => ({ driver, certainty: probe(driver, origin, head, tail, this.store.size) }))
    return this.#judged.filter((judged) => judged.certainty === certainty).map(({ driver }) => driver)
  }
}

/** What was found, and what the user should know about it. */
export interface Detection {
  readonly driver: FormatDriver
  /** The name says that it is a raw disk: what its content names is not opened. */
  readonly namedRaw?: boolean
  readonly notes: readonly Note[]
}

/**
 * The format of an image, from its content; the name only warns. A certain driver beats a possible one; raw is the
 * answer only when
 * nothing known was recognised and the name does not promise another format.
 * @param wrapped the file lies in another (an archive), of which --from would speak.
 * @throws ImageError unsupported E_AMBIGUOUS_FORMAT, E_UNSUPPORTED_FORMAT; corrupt E_NOT_RECOGNISED, E_EMPTY,
 * E_PARTIAL.
 */
export function detectFormat(file: ProbedFile, fileName: string | undefined, wrapped = false): Detection {
  const { store, registry } = file
  const { name } = store
  refuseUnfinished(store, fileName)
  const whole = fileName === undefined ? undefined : partOf(fileName, registry)
  if (whole !== undefined) return { driver: whole, notes: [] }
  const { head, tail } = file.ends
  const certain = file.drivers('certain')
  const [found] = certain
  if (found !== undefined)
    return certain.length === 1 ? detected(name, fileName, found, registry) : ambiguous(name, certain)

  const foreign = foreignFormat(head, tail, store.size)
  if (foreign !== undefined) unreadable(name, foreign)
  const possible = file.drivers('possible')
  const [likely] = possible
  if (likely !== undefined)
    return possible.length === 1 ? detected(name, fileName, likely, registry) : ambiguous(name, possible)
  const unclaimed = unclaimedFormat(head, tail, store.size)
  if (unclaimed !== undefined) unreadable(name, unclaimed)

  if (fileName !== undefined) refuseNamedBackup(name, fileName)
  if (fileName !== undefined) assertNotPromised(file, fileName, wrapped)
  return rawDisk(file, fileName, wrapped)
}

/** A file of no format is a raw disk, unless it is plainly something else. @throws ImageError E_NOT_A_DISK_IMAGE. */
function rawDisk(file: ProbedFile, fileName: string | undefined, wrapped: boolean): Detection {
  const { store, registry, ends } = file
  const { name } = store
  const { head } = ends
  const extension = fileName === undefined ? '' : extensionOf(fileName).toLowerCase()
  const isPromised =
    fileName !== undefined && registry.forExtension(fileName)?.plain === true && !namesAnything.has(extension)
  const other = otherFile(head)
  const what = other?.name ?? (isText(head) ? 'text' : undefined)
  const why =
    what !== undefined && !isPromised
      ? `is ${what}, not a disk image`
      : noSizeOfDisk(file, isPromised || partExtensions.has(extension), wrapped)
  if (why !== undefined)
    throw unsupported('E_NOT_A_DISK_IMAGE', `${name} ${why}`, { hint: withAdvice(other, rawAdvice(wrapped)) })
  // A disk may begin with text; where all of it is text, it is hardly one.
  const isDoubtful = other !== undefined || (what !== undefined && store.size <= head.length)
  if (!isDoubtful || fileName === undefined) return { driver: registry.plain, notes: [] }
  const message = `${name} is named ${printable(extensionOf(fileName))}, as a raw disk, but looks like ${what}`
  return { driver: registry.plain, notes: [{ code: 'W_EXTENSION', message }] }
}

/** First parts of a disk, or of anything else; of a disk, they may end within a sector. */
const partExtensions: ReadonlySet<string> = new Set(['.000', '.001'])
/** Extensions of raw disks that other files have as often: they say nothing of what is in the file. */
const namesAnything: ReadonlySet<string> = new Set(['.bin', ...partExtensions])

/**
 * Why a file is too small for a disk, or has a size that no disk has; undefined where it may be one. A disk that was
 * cut off has its boot sector still, or its name promises one. The size of what is unpacked may be a guess until its
 * end is read: only where nothing promises a disk is it taken for too small.
 */
function noSizeOfDisk(
  { store: { size }, ends: { head } }: ProbedFile,
  isPromised: boolean,
  wrapped: boolean,
): string | undefined {
  if (size < smallestDisk && !(wrapped && isPromised))
    return `has ${size} byte${size === 1 ? '' : 's'}: a disk has at least one sector of ${smallestDisk}`
  if (isPromised || wrapped || size % smallestDisk === 0 || beginsAsDisk(head)) return undefined
  return `has ${size} bytes, no whole number of sectors of ${smallestDisk}, and nothing in it says that it is a disk`
}

/** The mark of a boot sector, a GPT behind it, or a superblock of ext, XFS, ISO 9660 or NTFS, LUKS, or LVM. */
function beginsAsDisk(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  return beginnings.some(([place, text]) => bytes.toString('latin1', place, place + text.length) === text)
}

const beginnings: readonly (readonly [place: number, text: string])[] = [
  [510, '\x55\xaa'],
  [512, 'EFI PART'],
  [4096, 'EFI PART'],
  [1080, '\x53\xef'],
  [0, 'XFSB'],
  [32769, 'CD001'],
  [3, 'NTFS    '],
  [0, 'LUKS\xba\xbe'],
  [536, 'LVM2 001'],
  [24, 'LVM2 001'],
]

const withAdvice = (other: OtherFile | undefined, advice: string): string =>
  other?.advice === undefined ? advice : `${other.advice} ${advice}`

/** What is to do where somebody knows better. */
const rawAdvice = (wrapped: boolean): string =>
  wrapped
    ? 'If its bytes are those of a disk, unpack it, and use --from raw then.'
    : 'Use --from raw if its bytes are those of a disk.'

/** A file that is named as an image and is none may be a damaged one. @throws ImageError corrupt E_NOT_RECOGNISED. */
function assertNotPromised(file: ProbedFile, fileName: string, wrapped: boolean): void {
  const { store, registry, ends } = file
  const { name, size } = store
  const { head } = ends
  const format = registry.forExtension(fileName)
  if (format?.mayBeRaw !== undefined && (isText(head) || format.mayBeRaw(head, size))) return
  const promised = promisedKind(fileName, registry)
  const other = otherFile(head)
  // What vdisk only knows by the name, a machine's description: what is in it says more.
  if (promised?.id === undefined && (other !== undefined || isText(head))) return
  if (promised !== undefined && promised.plain !== true) {
    const found =
      other === undefined
        ? `nothing in it says that it is ${promised.title}, or any other known format`
        : `it is ${other.name}`
    throw corrupt('E_NOT_RECOGNISED', `${name} is named ${printable(extensionOf(fileName))}, but ${found}`, {
      hint: withAdvice(other, `${other === undefined ? 'It may be damaged or cut off. ' : ''}${rawAdvice(wrapped)}`),
      details: { format: promised.id },
    })
  }
}

/** Backups whose bytes are not described anywhere: the name alone gives them away. */
function refuseNamedBackup(name: string, fileName: string): void {
  const format = namedBackup(extensionOf(fileName).slice(1).toLowerCase())
  if (format !== undefined)
    throw unsupported('E_UNSUPPORTED_FORMAT', `${name} looks like ${format}, by its name, which vdisk cannot read`, {
      hint: `${adviceFor(format)} Use --from raw if its bytes are those of a disk.`,
      details: { format },
    })
}

/** Files that are no image, whatever is in them. */
function refuseUnfinished({ name, size }: ByteStore, fileName: string | undefined): void {
  if (fileName !== undefined && isPartialName(fileName)) {
    throw corrupt('E_PARTIAL', `${name} is the unfinished output of an interrupted run, not an image`, {
      hint: 'Delete it and run the conversion again.',
    })
  }
  if (size === 0)
    throw corrupt('E_EMPTY', `${name} is empty`, { hint: 'Use --from raw to read it as a disk of no bytes.' })
}

/** The format of the image that a file is named as a part of. */
export function partOf(fileName: string, registry: Registry): FormatDriver | undefined {
  for (const { driver } of registry) if (driver.isPartName?.(fileName) === true) return driver
  return undefined
}

/** One sector: less is no disk. */
const smallestDisk = 512

/** Whether there is nothing but text: no control characters, and UTF-8 as far as it goes. */
function isText(head: Uint8Array): boolean {
  if (head.some((byte) => byte === 127 || (byte < 32 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13)))
    return false
  // The window may cut a character in two, which is no error of a stream that goes on.
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return true
  } catch {
    return false
  }
}

/**
 * What the user should know who asked for the bytes of a file as they are (`--from raw`): that it looks like something
 * else, whose disk is not these bytes.
 */
export function readAsRaw(file: ProbedFile): Note[] {
  const { store } = file
  const { head, tail } = file.ends
  const [known] = file.drivers('certain')
  const other = known?.title ?? foreignFormat(head, tail, store.size) ?? unclaimedFormat(head, tail, store.size)
  if (other === undefined) return noDisk(store, head)
  const named = known === undefined ? other : `an image of the format ${other}`
  return [
    {
      code: 'W_READ_AS_RAW',
      message: `${store.name} looks like ${named}: its bytes, read as raw, are not those of the disk in it`,
    },
  ]
}

/** The same of what is no image at all: a document, a program, text. */
function noDisk({ name, size }: ByteStore, head: Uint8Array): Note[] {
  const what = otherFile(head)?.name ?? (size > 0 && isText(head) ? 'text' : undefined)
  if (what === undefined) return []
  return [{ code: 'W_READ_AS_RAW', message: `${name} looks like ${what}: its bytes, read as raw, are hardly a disk` }]
}

function probe(driver: FormatDriver, origin: string, head: Uint8Array, tail: Uint8Array, size: number): Certainty {
  try {
    return driver.probe(head, tail, size)
  } catch (cause) {
    throw new ImageError(
      'internal',
      'E_PROBE',
      `the format ${driver.id} (${origin}) failed while looking at the file, which it never may`,
      { cause },
    )
  }
}

function unreadable(name: string, format: string): never {
  throw unsupported('E_UNSUPPORTED_FORMAT', `${name} is ${format}, which vdisk cannot read`, {
    hint: adviceFor(format),
    details: { format },
  })
}

function ambiguous(name: string, drivers: readonly FormatDriver[]): never {
  const ids = drivers.map(({ id }) => id)
  throw unsupported('E_AMBIGUOUS_FORMAT', `${name} can be ${ids.join(' and ')} at once`, {
    hint: `Say which one you mean: ${ids.map((id) => `--from ${id}`).join(' or ')}.`,
  })
}

function detected(name: string, fileName: string | undefined, driver: FormatDriver, registry: Registry): Detection {
  const namedRaw = fileName !== undefined && registry.forExtension(fileName)?.plain === true && driver.plain !== true
  return { driver, notes: extensionNote(name, fileName, driver, registry), namedRaw }
}

function extensionNote(name: string, fileName: string | undefined, found: FormatDriver, registry: Registry): Note[] {
  const promised = fileName === undefined ? undefined : promisedKind(fileName, registry)
  if (promised === undefined || promised.id === found.id || fileName === undefined) return []
  // A guest can write into its raw disk what makes it look like an image of another format.
  if (promised.id !== undefined && promised.plain === true)
    return [
      {
        code: 'W_EXTENSION',
        message:
          `${name} is named ${printable(extensionOf(fileName))}, as a raw disk, but looks like a ` +
          `${found.title}, and is ` +
          (`read as one: --from ${found.id} says that it is one, --from ${promised.id} that its bytes are ` +
            'those of the disk'),
      },
    ]
  return [
    {
      code: 'W_EXTENSION',
      message: `${name} is named ${printable(extensionOf(fileName))}, but it is a ${found.title}`,
    },
  ]
}
