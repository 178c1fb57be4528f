import type { ByteStore } from '../block/types.js'
import { ImageError, isImageError, printable, reference } from '../errors.js'
import type { GateFile } from '../location/gate.js'
import { fileId, type Location, type LocationId } from '../location/location.js'
import fs from '../sys/host-fs.js'
import type { OwnFile } from './driver.js'
import type { ImageFile } from './opened.js'

/** Why none of the files found is the parent: what is wrong with the first, and which others were tried. */
export function notTheParent(
  failures: readonly { readonly found: GateFile; readonly error: ImageError }[],
): ImageError | undefined {
  const [first, ...others] = failures
  if (first === undefined) return undefined
  const {
    found: { location },
    error: { kind, code, message, hint, details, cause },
  } = first
  const named = message.includes(location.label) ? '' : ` (tried ${location.label})`
  const also = others.map(({ found, error }) => `; also tried ${found.location.label}: ${error.message}`).join('')
  return new ImageError(kind, code, `${message}${named}${also}`, {
    hint,
    details: {
      ...details,
      path: location.address,
      looked: failures.map(({ found }) => found.location.address).join('\n'),
    },
    cause,
  })
}

/** An archive says that a disk is made of changes to another, and the disk says that it is whole. */
export function notAChild(name: string, below: string): ImageError {
  return reference(
    'E_PARENT_UNNAMED',
    `${name}: what it lies in says that it holds changes to the disk ${printable(below)}, and the image names ` +
      'no parent',
    { hint: 'Unpack the archive with tar, and convert the disk by itself if it is whole.' },
  )
}

/** A file that a format found beside its image, of the image's own set. */
export function beside(location: Location): GateFile {
  if (location.kind !== 'file' && location.kind !== 'member')
    throw reference('E_REFERENCE_MISSING', `${location.label} is no regular file`)
  return { location, id: location.id, by: 'beside' }
}

/** Opens what the gate let through, and makes sure that it is still that file. */
export function openFound({ location, id }: GateFile): ByteStore {
  let store: ByteStore
  try {
    store = location.store()
  } catch (error) {
    if (!isImageError(error)) throw error
    throw reference('E_REFERENCE_UNREADABLE', error.message, {
      cause: error,
      hint: error.hint,
    })
  }
  if (idOf(location, store) === id) return store
  store[Symbol.dispose]()
  throw reference('E_REFERENCE_CHANGED', `${store.name} was exchanged for another file while it was opened`)
}

/** Which bytes are read: of a file, by its descriptor. */
function idOf(location: Location, store: ByteStore): LocationId {
  if (location.path === undefined || store.fd === undefined) return location.id
  const { dev: device, ino: inode } = fs.fstatSync(store.fd, { bigint: true })
  return fileId({ device, inode })
}

/** The files of an image: there may be many thousands. */
export class ImageFiles {
  readonly list: ImageFile[]
  readonly #ids: Set<LocationId>

  constructor(first: readonly ImageFile[]) {
    this.list = [...first]
    this.#ids = new Set(first.map(({ id }) => id))
  }

  has(id: LocationId): boolean {
    return this.#ids.has(id)
  }

  add(file: ImageFile): void {
    this.list.push(file)
    this.#ids.add(file.id)
  }
}

/** The facts of an open file; by its descriptor, so that they are those of the bytes read. */
export function imageFile(location: Location, store: ByteStore, role: ImageFile['role']): ImageFile {
  const { address: path } = location
  const id = idOf(location, store)
  const stat = store.fd === undefined ? undefined : fs.fstatSync(store.fd, { bigint: true })
  return {
    path,
    role,
    id,
    size: store.size,
    allocated: stat === undefined ? store.size : Number(stat.blocks) * 512,
    device: stat?.dev ?? noDevice,
    inode: stat?.ino ?? noDevice,
    mode: stat === undefined ? undefined : Number(stat.mode) % 0o1000,
  }
}

/** A file that an image opens by itself, when it needs it. */
export function ownFile({ path, size, device, inode }: OwnFile): ImageFile {
  return { path, role: 'extent', id: fileId({ device, inode }), size, allocated: size, device, inode }
}

/** What has no device and inode is the same as no file of this computer. */
const noDevice = -1n
