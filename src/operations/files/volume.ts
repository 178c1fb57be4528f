import type { Note } from '../../block/types.js'
import { printable, unsupported, usage } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { Filesystem, FileTree } from '../../filesystem/types.js'
import type { OpenedImage } from '../../formats/open.js'
import { readPartitionTable } from '../../partition/index.js'
import { openReadableLater, type ReadOptions } from '../open/opening.js'

/** How an image is opened to look into its files. */
export type VolumeOptions = ReadOptions

/** A filesystem open for reading, inside its image. */
export interface OpenedVolume extends Disposable {
  readonly image: string
  readonly filesystem: Filesystem
  readonly tree: FileTree
  /** What the user should know of the image; asked for when all has been read. */
  readonly notes: readonly Note[]
  /** At the end of whatever read it. @throws ImageError corrupt E_SOURCE_CHANGED. */
  readonly assertUnchanged: () => void
}

/**
 * Opens an image and the filesystem in it.
 * @throws ImageError usage E_WHICH_PARTITION; unsupported E_NO_FILESYSTEM, E_FS_AMBIGUOUS, E_FS_NOT_READABLE; those of
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
      get notes() {
        return source.notes
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

/** A disk with partitions is asked for one of them, unless a filesystem that can be read starts at its first byte. */
function theFilesystem(source: OpenedImage, image: string): ReadableFilesystem {
  const name = printable(image)
  const found = identifyFilesystems(source)
  const [filesystem, ...others] = found
  if (filesystem !== undefined && hasTree(filesystem)) return filesystem
  const numbers =
    source.part === undefined
      ? readPartitionTable(source)
          .partitions.filter(({ role }) => role !== 'extended')
          .map(({ number }) => number)
      : []
  if (numbers.length > 0) {
    throw usage('E_WHICH_PARTITION', `${name} has partitions: say in which one the file is`, {
      hint:
        `Write ${name}@${numbers[0] ?? 1}:/path. It has ` +
        `${numbers.length === 1 ? 'partition' : 'partitions'} ${numbers.join(', ')}.`,
    })
  }
  if (filesystem === undefined) throw unsupported('E_NO_FILESYSTEM', `no known filesystem is in ${name}`)
  if (others.length > 0)
    throw unsupported(
      'E_FS_AMBIGUOUS',
      `${name} has the marks of several filesystems: ${found.map(({ title }) => title).join(', ')}`,
    )
  throw unsupported('E_FS_NOT_READABLE', `${name} holds ${filesystem.title}, whose files cannot be read here`)
}
