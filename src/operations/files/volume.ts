import type { BlockSource, Note } from '../../block/types.js'
import { printable, unsupported, usage, type ImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { Filesystem, FileTree } from '../../filesystem/types.js'
import type { ImageFile, OpenedImage } from '../../formats/open.js'
import { readPartitionTable } from '../../partition/index.js'
import { diskVolumes, logicalVolumes } from '../open/disk-volumes.js'
import { openReadableLater, parseImageArgument, type LaterOptions, type ReadOptions } from '../open/opening.js'

const lvmMember = 'LVM2_member'

/** How an image is opened to look into its files. */
export type VolumeOptions = ReadOptions & LaterOptions

/** A filesystem open for reading, inside its image. */
export interface OpenedVolume extends Disposable {
  readonly image: string
  readonly filesystem: Filesystem
  readonly tree: FileTree
  /** What the user should know of the image; asked for when all has been read. */
  readonly notes: readonly Note[]
  /** The files of this computer that it is read from. */
  readonly files: readonly ImageFile[]
  /** At the end of whatever read it. @throws ImageError corrupt E_SOURCE_CHANGED. */
  readonly assertUnchanged: () => void
}

/**
 * Opens an image and the filesystem in it.
 * @throws ImageError usage E_WHICH_PARTITION, E_WHICH_VOLUME; unsupported E_NO_FILESYSTEM, E_FS_AMBIGUOUS,
 * E_FS_NOT_READABLE; those of
 * opening the image and the tree.
 */
export async function openVolume(image: string, options: VolumeOptions = {}): Promise<OpenedVolume> {
  const source = await openReadableLater(image, options)
  try {
    const filesystem = theFilesystem(source, image)
    return {
      image,
      filesystem,
      tree: filesystem.openTree(),
      files: source.files,
      get notes() {
        return [...source.notes, ...filesystemNotes(filesystem)]
      },
      assertUnchanged: () => source.assertUnchanged(),
      [Symbol.dispose]: () => source[Symbol.dispose](),
    }
  } catch (error) {
    source[Symbol.dispose]()
    throw error
  }
}

type ReadableFilesystem = Filesystem & Required<Pick<Filesystem, 'openTree'>>

function hasTree(filesystem: Filesystem): filesystem is ReadableFilesystem {
  return filesystem.openTree !== undefined
}

/** Containers in containers: an array, and what is in it. */
const deepestContainer = 4

/**
 * A disk with partitions is asked for one of them, unless a filesystem that can be read starts at its first byte. What
 * is in an array is looked at in its place.
 */
function theFilesystem(opened: OpenedImage, image: string): ReadableFilesystem {
  let source: BlockSource = opened
  for (let depth = 0; ; depth++) {
    const found = identifyFilesystems(source)
    const [filesystem] = found
    if (filesystem !== undefined && hasTree(filesystem)) return filesystem
    if (filesystem?.openContent === undefined || found.length > 1 || depth >= deepestContainer)
      throw notReadable(opened, source, found, image)
    source = filesystem.openContent(diskVolumes(opened.whole))
  }
}

/** Why there is no filesystem to be read, and what to write instead. */
function notReadable(
  opened: OpenedImage,
  source: BlockSource,
  found: readonly Filesystem[],
  image: string,
): ImageError {
  const name = printable(image)
  const disk = printable(parseImageArgument(image).path)
  const [filesystem, ...others] = found
  const numbers =
    opened.part === undefined && source === opened
      ? readPartitionTable(source)
          .partitions.filter(({ role }) => role !== 'extended')
          .map(({ number }) => number)
      : []
  const volumes =
    numbers.length > 0 || filesystem?.type === lvmMember
      ? logicalVolumes(opened.whole).map((volume) => volume.name)
      : []
  const volumesHint =
    volumes.length === 0
      ? ''
      : ` For a logical volume write ${disk}@lv=${volumes[0] ?? ''}:/path. It has ` + `${volumes.join(', ')}.`
  if (numbers.length > 0)
    return usage('E_WHICH_PARTITION', `${name} has partitions: say in which one the file is`, {
      hint:
        `Write ${name}@${numbers[0] ?? 1}:/path. It has ` +
        `${numbers.length === 1 ? 'partition' : 'partitions'} ${numbers.join(', ')}.${volumesHint}`,
    })
  if (filesystem === undefined) return unsupported('E_NO_FILESYSTEM', `no known filesystem is in ${name}`)
  if (others.length > 0)
    return unsupported(
      'E_FS_AMBIGUOUS',
      `${name} has the marks of several filesystems: ${found.map(({ title }) => title).join(', ')}`,
    )
  if (volumes.length > 0)
    return usage('E_WHICH_VOLUME', `${name} holds logical volumes of LVM2: say in which one the file is`, {
      hint: volumesHint.trimStart(),
    })
  return unsupported('E_FS_NOT_READABLE', `${name} holds ${filesystem.title}, whose files cannot be read here`)
}

/** What the user should know of a filesystem whose files are read. */
function filesystemNotes({ title, state, issues }: Filesystem): Note[] {
  const notes: Note[] = issues.map(({ code, message }) => ({ code, message }))
  if (state === 'dirty' || state === 'hibernated')
    notes.push({
      code: 'W_FS_DIRTY',
      message:
        state === 'dirty'
          ? `the ${title} filesystem was not unmounted cleanly: what only its journal holds is not seen`
          : `a hibernated system has the ${title} filesystem in use: what only its memory holds is not seen`,
    })
  return notes
}
