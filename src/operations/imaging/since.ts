import type { BlockSource, Note } from '../../block/types.js'
import { printable, reference, refused, usage } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { FormatDriver, ParentShape } from '../../formats/driver.js'
import type { OpenOptions } from '../../formats/open.js'
import type { ImageFile } from '../../formats/opened.js'
import type { Registry } from '../../formats/registry.js'
import { isBackupSet } from '../../location/backup-set.js'
import { lastPart } from '../../sys/host-path.js'
import { shellWord } from '../../sys/shell-word.js'
import { areKnown, identityDifferences } from '../device/origin.js'
import { localFile } from '../open/image-file.js'
import { openNewParent } from '../transfer/parent.js'
import { DigestedDisk, trustedBlocks, type KnownBlocks } from './blocks-file.js'
import type { GuardAnswer } from './guards.js'
import { readImageRecord, type ImageRecord, type RecordedSource } from './record.js'
import { imageRecordPath } from './companions.js'

/** The disk that is imaged now. */
export interface ImagedDisk {
  /** As given. */
  readonly name: string
  readonly source: BlockSource
  readonly recorded: RecordedSource
}

/** An earlier image of a disk, open as the parent of a new one. Closing it closes its chain. */
export interface SinceImage extends Disposable {
  readonly shape: ParentShape
  /** Its path, and what its own record says. */
  readonly path: string
  readonly record: ImageRecord
  /** What the new image is compared with: the earlier image, or what its digests say of it. */
  readonly base: BlockSource
  /** The digests of its blocks, where they are there and can be trusted: `base` is then not read. */
  readonly known: KnownBlocks | undefined
  /** How the new image is opened: it names the earlier one, wherever that lies. */
  readonly open: OpenOptions
  /** Those of the earlier image and its parents. */
  readonly files: readonly ImageFile[]
  /** Whether it is of the same disk. */
  readonly identity: GuardAnswer
  /** For the record of the new image. */
  readonly recorded: NonNullable<ImageRecord['parent']>
  readonly notes: readonly Note[]
  /** Before the new image gets its name. @throws ImageError corrupt E_SOURCE_CHANGED where it is not what it was. */
  assertUnchanged(): void
}

/**
 * Opens the image that a new one is to be a child of, and makes sure that it is of the same disk.
 * @param path the earlier image. @param target the new one.
 * @throws ImageError reference E_NO_RECORD; corrupt E_RECORD; refused E_OTHER_DISK, E_SIZE_CHANGED; usage E_NO_PARENTS;
 * those of opening the earlier image.
 */
export function openSince(
  path: string,
  disk: ImagedDisk,
  target: { readonly path: string; readonly driver: FormatDriver },
  options: { readonly registry?: Registry; readonly allowOtherDisk: boolean },
): SinceImage {
  const file = localFile(path, options)
  const record = recordOf(file)
  // What the system must not do by itself: opening an image that its own record says is another format.
  const parent = openNewParent(file, target.path, target.driver, {
    registry: options.registry,
    from: record.image.format,
  })
  const { opened, shape } = parent
  try {
    const identity = guardIdentity(file, disk, record, opened, options.allowOtherDisk)
    guardSize(file, disk, record, target.driver)
    const { files } = opened
    const { digest } = record.digests.disk
    const blocks = record.digests.algorithm === 'tree1' ? trustedBlocks(file, files, digest) : 'its digest is no tree1'
    const known = typeof blocks === 'string' ? undefined : blocks
    return {
      shape,
      path: file,
      record,
      base: known === undefined ? opened : new DigestedDisk(known, opened.sectorSize),
      known,
      open: { registry: options.registry, allowReferences: files.map(({ path: each }) => each) },
      files,
      identity,
      recorded: { name: lastPart(file), digest, compared: known === undefined ? 'content' : 'digests' },
      notes: [...parent.notes, ...(typeof blocks === 'string' ? [comparedByReading(file, blocks)] : [])],
      assertUnchanged: () => {
        opened.assertUnchanged()
      },
      [Symbol.dispose]: () => {
        known?.[Symbol.dispose]()
        opened[Symbol.dispose]()
      },
    }
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}

function comparedByReading(path: string, why: string): Note {
  return {
    code: 'W_NO_BLOCKS',
    message: `the disk is compared with ${printable(path)} by reading both, which takes longer: ${why}`,
  }
}

function recordOf(path: string): ImageRecord {
  const record = readImageRecord(path)
  if (record !== undefined) return record
  if (isBackupSet(path))
    throw usage('E_NO_POINT', `${printable(path)} is a backup set: which of its points is meant?`, {
      hint: `Write ${shellWord(`${path}@latest`)}; vdisk backup run makes the next point of the set itself.`,
    })
  throw reference(
    'E_NO_RECORD',
    `${printable(path)} has no record (${printable(imageRecordPath(path))}): which disk it is the image of is not ` +
      'known',
    { hint: 'Make a whole image once, without --since: vdisk image writes the record beside it.' },
  )
}

/** @throws ImageError refused E_OTHER_DISK */
function guardIdentity(
  path: string,
  { name, source, recorded: now }: ImagedDisk,
  record: ImageRecord,
  earlier: BlockSource,
  allowed: boolean,
): GuardAnswer {
  const { source: then, ended } = record
  const when = `${printable(then.path)}, ${ended.slice(0, 10)}`
  const what = `the ${then.kind} that ${printable(path)} is the image of (${when})`
  const differences = identityDifferences(then, now)
  const volumes = areKnown(then, now) ? 'unknown' : compareVolumes(source, earlier)
  if (volumes === 'different') differences.push('the filesystem on it has another id')
  if (differences.length === 0) {
    const isKnown = areKnown(then, now) || volumes === 'same'
    return {
      guard: 'identity',
      verdict: isKnown ? 'passed' : 'unknown',
      why: isKnown
        ? `${printable(name)} is ${what}`
        : `whether ${printable(name)} is ${what} is not known: neither has a serial number or an id`,
    }
  }
  const why = `${printable(name)} is not ${what}: ${differences.join('; ')}`
  if (allowed) return { guard: 'identity', verdict: 'overridden', why }
  throw refused('E_OTHER_DISK', why, {
    hint:
      'Connect the disk that is meant, or make a whole image of this one. If it is the same disk with a new table or ' +
      'a new adapter, --allow-other-disk goes on.',
  })
}

/** Of a disk that nothing else identifies: by the filesystem on it, where it has only one. */
function compareVolumes(now: BlockSource, then: BlockSource): 'same' | 'different' | 'unknown' {
  const [first, second] = [now, then].map((disk) => identifyFilesystems(disk)[0]?.uuid)
  if (first === undefined || second === undefined) return 'unknown'
  return first === second ? 'same' : 'different'
}

/** @throws ImageError refused E_SIZE_CHANGED where a child of this format has the size of its parent. */
function guardSize(path: string, { name, source }: ImagedDisk, { digests }: ImageRecord, driver: FormatDriver): void {
  const { length } = digests.disk
  if (length === source.capacity || driver.features.childSize === 'any') return
  throw refused(
    'E_SIZE_CHANGED',
    `${printable(name)} has ${source.capacity} bytes, and had ${length} when ${printable(path)} was made: a child in ` +
      `the format ${driver.id} has the size of its parent`,
    { hint: 'Make a whole image, without --since; a qcow2 image can have a child of another size.' },
  )
}
