import { prepareCodec } from '../codec/index.js'
import type { BlockSource } from '../block/types.js'
import { printable, unsupported } from '../errors.js'
import { identifyFilesystems } from '../filesystem/index.js'
import type { Filesystem, FileTree } from '../filesystem/types.js'
import { openReadable, type ReadOptions } from './opening.js'

/** How an image is opened to look into its files. */
export type VolumeOptions = ReadOptions

/** A filesystem open for reading, inside its image. */
export interface OpenedVolume extends Disposable {
  readonly image: string
  readonly filesystem: Filesystem
  readonly tree: FileTree
}

/**
 * Opens an image and the filesystem in it.
 * @throws ImageError unsupported E_NO_FILESYSTEM, E_FS_AMBIGUOUS, E_FS_NOT_READABLE; those of opening the image and the tree.
 */
export async function openVolume(image: string, options: VolumeOptions = {}): Promise<OpenedVolume> {
  // Reading is synchronous; the one codec that may have to be loaded is.
  await prepareCodec('zstd')
  const source = openReadable(image, options)
  try {
    const filesystem = theFilesystem(source, image)
    if (filesystem.openTree === undefined) {
      throw unsupported('E_FS_NOT_READABLE', `${printable(image)} holds ${filesystem.title}, whose files cannot be read here`)
    }
    return { image, filesystem, tree: filesystem.openTree(), [Symbol.dispose]: () => source[Symbol.dispose]() }
  } catch (error) {
    source[Symbol.dispose]()
    throw error
  }
}

function theFilesystem(source: BlockSource, image: string): Filesystem {
  const [filesystem, ...others] = identifyFilesystems(source)
  if (filesystem === undefined) {
    throw unsupported('E_NO_FILESYSTEM', `no filesystem is known at the start of ${printable(image)}`, { hint: 'If it is a disk with partitions, name one: IMAGE@1:/path' })
  }
  if (others.length > 0) {
    throw unsupported('E_FS_AMBIGUOUS', `${printable(image)} looks like several filesystems: ${[filesystem, ...others].map(({ title }) => title).join(', ')}`)
  }
  return filesystem
}
