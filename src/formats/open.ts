import fs from 'node:fs'
import { dirname, resolve } from 'node:path'
import { FileStore } from '../block/file-store.js'
import type { ByteStore, Note } from '../block/types.js'
import { ImageError, isImageError, printable, reference, usage } from '../errors.js'
import type { FileReference, FormatDriver, OpenContext, OptionValues, ParentReference } from './driver.js'
import { ReferenceGate, type GateFile } from './gate.js'
import { OpenedImage, type ImageFile, type Layer } from './opened.js'
import { checkOptions } from './options.js'
import type { ParentMapping } from './parent-map.js'
import { detectFormat } from './probe.js'
import { Registry } from './registry.js'

export interface OpenOptions {
  readonly registry?: Registry
  /** The format's id; found from the content when left out. `raw` reads any file as it is. */
  readonly from?: string
  /** Reads an internal snapshot, by id or name, instead of the active disk. */
  readonly snapshot?: string
  /** Options for reading, of the image's own format. */
  readonly options?: OptionValues
  /** Files outside the image's folder (or folders of them) that images may name. */
  readonly allowReferences?: readonly string[]
  /**
   * Folders in which parents are looked for by the last part of their names, where they are not found under them or
   * beside the image.
   */
  readonly search?: readonly string[]
  /** Where parents lie that were moved. */
  readonly parentMap?: readonly ParentMapping[]
  /** The format of parents whose children record none; `auto` takes what their content says. */
  readonly parentFormat?: string
  /**
   * `optional`: a missing parent or data file is told in the result, not thrown; reading it throws. Default `required`.
   */
  readonly chain?: 'required' | 'optional'
  /** Files that lie under another name for now: final path → present path. */
  readonly renamed?: ReadonlyMap<string, string>
}

/** Chains deeper than this are not met outside attacks; each layer costs a descriptor. */
const maximumDepth = 255

/** Opens an image file and its chain of parents. Sources are never opened for writing. @throws ImageError */
export function openImage(path: string, options: OpenOptions = {}): OpenedImage {
  return openStore(FileStore.openRead(path), path, options)
}

/**
 * Opens an image from a store, which the result owns and closes; so does a failure.
 * @param path where it lies; undefined when it is no file of its own (standard input): it then may name no other file.
 */
export function openStore(store: ByteStore, path: string | undefined, options: OpenOptions = {}): OpenedImage {
  return new ChainOpener(options).open(store, path)
}

class ChainOpener {
  readonly #options: OpenOptions
  readonly #registry: Registry
  readonly #gate: ReferenceGate
  readonly #layers: Layer[] = []
  readonly #folders: string[] = []

  constructor(options: OpenOptions) {
    this.#options = options
    this.#registry = options.registry ?? new Registry()
    const { allowReferences: allowed, search, parentMap } = options
    this.#gate = new ReferenceGate({
      allowed,
      search,
      parentMap,
    })
  }

  open(store: ByteStore, path: string | undefined): OpenedImage {
    try {
      let layer = this.#openTop(store, path)
      this.#layers.push(layer)
      let missing: ImageError | undefined
      for (let { parentReference } = layer.image; parentReference !== undefined; { parentReference } = layer.image) {
        try {
          layer = this.#openParent(layer, parentReference)
        } catch (error) {
          if (!isImageError(error) || this.#options.chain !== 'optional') throw error
          missing = error
          break
        }
        this.#layers.push(layer)
      }
      return new OpenedImage(this.#layers, missing)
    } catch (error) {
      for (const { image } of this.#layers) image[Symbol.dispose]()
      throw error
    }
  }

  #openTop(store: ByteStore, path: string | undefined): Layer {
    let driver: FormatDriver
    let notes: readonly Note[] = []
    try {
      if (this.#options.from === undefined) ({ driver, notes } = detectFormat(store, path, this.#registry))
      else driver = this.#registry.get(this.#options.from)
      if (this.#options.snapshot !== undefined && !driver.features.snapshots) {
        throw usage('E_NO_SNAPSHOTS', `${store.name} is a ${driver.title}, a format without internal snapshots`)
      }
      checkOptions(driver.openOptions ?? [], this.#options.options ?? {}, `reading ${driver.id}`)
    } catch (error) {
      store[Symbol.dispose]()
      throw error
    }
    return this.#openLayer(store, path, driver, notes, 'image')
  }

  /** Opens one image; the store is closed when that fails. */
  #openLayer(
    store: ByteStore,
    path: string | undefined,
    driver: FormatDriver,
    notes: readonly Note[],
    role: 'image' | 'parent',
  ): Layer {
    const files: ImageFile[] = []
    const extra: Note[] = []
    const further: ByteStore[] = []
    try {
      if (path !== undefined) {
        this.#folders.push(...this.#gate.foldersOf(path))
        files.push(imageFile(path, store, role))
      }
      const context: OpenContext = {
        ...(role === 'image' && this.#options.snapshot !== undefined ? { snapshot: this.#options.snapshot } : {}),
        options:
          role === 'image'
            ? checkOptions(driver.openOptions ?? [], this.#options.options ?? {}, `reading ${driver.id}`)
            : {},
        siblings: () => (path === undefined ? [] : fs.readdirSync(dirname(resolve(path)))),
        openReference: (wanted) => {
          const opened = this.#openReference(wanted, path, store.name, files, extra)
          if (opened !== undefined) further.push(opened)
          return opened
        },
      }
      return { name: store.name, path, driver, image: driver.open(store, context), files, notes: [...notes, ...extra] }
    } catch (error) {
      for (const opened of further) opened[Symbol.dispose]()
      store[Symbol.dispose]()
      throw error
    }
  }

  #openReference(
    wanted: FileReference,
    image: string | undefined,
    imageName: string,
    files: ImageFile[],
    notes: Note[],
  ): ByteStore | undefined {
    const role = wanted.role === 'data-file' ? 'data file' : wanted.role
    try {
      const answer = this.#gate.find({
        role,
        image,
        imageName,
        names: [this.#present(wanted.path, image)],
        verifiable: false,
        folders: this.#folders,
      })
      const [found] = answer.files
      if (found === undefined) throw answer.failure
      if ([...this.#layers.flatMap((layer) => layer.files), ...files].some((file) => isSame(file, found))) {
        throw reference(
          'E_REFERENCE_LOOP',
          `${imageName} names ${printable(wanted.path)} as its ${role}, which is part of the image already`,
        )
      }
      const store = openFound(found)
      files.push(imageFile(found.path, store, wanted.role))
      return store
    } catch (error) {
      if (!isImageError(error) || this.#options.chain !== 'optional') throw error
      notes.push({ code: error.code, message: error.message })
      return undefined
    }
  }

  /** Tries the files that may be the parent until one is. */
  #openParent(child: Layer, wanted: ParentReference): Layer {
    if (this.#layers.length > maximumDepth) {
      throw reference(
        'E_CHAIN_TOO_LONG',
        `${this.#layers[0]?.name ?? ''}: its chain has more than ${maximumDepth} parents`,
      )
    }
    const answer = this.#gate.find({
      role: 'parent',
      image: child.path,
      imageName: child.name,
      names: wanted.paths,
      verifiable: wanted.identity !== undefined,
      folders: this.#folders,
    })
    const failures: { readonly found: GateFile; readonly error: ImageError }[] = []
    for (const found of answer.files) {
      try {
        return this.#openFoundParent(child, wanted, found)
      } catch (error) {
        if (!isImageError(error)) throw error
        failures.push({ found, error })
      }
    }
    throw notTheParent(failures) ?? answer.failure
  }

  #openFoundParent(child: Layer, wanted: ParentReference, found: GateFile): Layer {
    const loop = this.#layers.findIndex((layer) => layer.files.some((file) => isSame(file, found)))
    if (loop >= 0) {
      throw reference(
        'E_PARENT_LOOP',
        `${child.name} has ${printable(found.path)} as its parent, which is the same file as ` +
          `${this.#layers[loop]?.name ?? ''}: the chain goes in a circle`,
      )
    }
    const store = openFound(found)
    let driver: FormatDriver
    try {
      driver = this.#parentDriver(child, wanted, found, store)
    } catch (error) {
      store[Symbol.dispose]()
      throw error
    }
    const byName: Note[] =
      wanted.identity === undefined && found.by === 'search'
        ? [
            {
              code: 'W_PARENT_BY_NAME',
              message:
                `${child.name} records no id of its parent: ${store.name} was taken for it because a ` +
                'folder to be searched holds a file of that name',
            },
          ]
        : []
    const layer = { ...this.#openLayer(store, found.path, driver, byName, 'parent'), foundBy: found.by }
    try {
      wanted.verify(layer.image)
    } catch (error) {
      layer.image[Symbol.dispose]()
      throw error
    }
    return layer
  }

  /**
   * The child's record decides. Without one only a raw parent is believed: the guest of a raw disk can write any header
   * it likes into it,
   * and the header could name any file.
   */
  #parentDriver(child: Layer, wanted: ParentReference, found: GateFile, store: FileStore): FormatDriver {
    const recorded = wanted.format
    if (recorded !== undefined) {
      const driver = this.#registry.find(recorded)
      if (driver === undefined)
        throw new ImageError(
          'unsupported',
          'E_UNSUPPORTED_FORMAT',
          `${child.name} says that its parent ${store.name} is of the format ${printable(recorded)}, which ` +
            'vdisk cannot read',
        )
      return driver
    }
    const given = this.#options.parentFormat
    if (given !== undefined && given !== 'auto') return this.#registry.get(given)
    const { driver } = detectFormat(store, found.path, this.#registry)
    if (driver.id !== 'raw' && given !== 'auto') {
      throw reference(
        'E_PARENT_FORMAT',
        `${child.name} does not record the format of its parent ${store.name}, which looks like ${driver.id}; ` +
          'the guest of a raw parent can make it look so',
        {
          hint: `If you know that the parent is ${driver.id}, say so with --parent-format ${driver.id}`,
        },
      )
    }
    return driver
  }

  /** The path a file has for now, when it is still to be renamed. */
  #present(path: string, image: string | undefined): string {
    const final = image === undefined ? path : resolve(dirname(image), path)
    return this.#options.renamed?.get(final) ?? path
  }
}

/** Why none of the files found is the parent: what is wrong with the first, and which others were tried. */
function notTheParent(
  failures: readonly { readonly found: GateFile; readonly error: ImageError }[],
): ImageError | undefined {
  const [first, ...others] = failures
  if (first === undefined) return undefined
  const {
    found: { path },
    error: { kind, code, message, hint, details, cause },
  } = first
  const named = message.includes(printable(path)) ? '' : ` (tried ${printable(path)})`
  const also = others.map(({ found, error }) => `; also tried ${printable(found.path)}: ${error.message}`).join('')
  return new ImageError(kind, code, `${message}${named}${also}`, {
    hint,
    details: { ...details, path, looked: failures.map(({ found }) => found.path).join('\n') },
    cause,
  })
}

/** Opens what the gate let through, and makes sure that it is still that file. */
function openFound(found: GateFile): FileStore {
  let store: FileStore
  try {
    store = FileStore.openRead(found.path)
  } catch (error) {
    if (!isImageError(error)) throw error
    throw reference('E_REFERENCE_UNREADABLE', error.message, {
      cause: error,
      hint: error.hint,
    })
  }
  const stat = fs.fstatSync(store.fd, { bigint: true })
  if (isSame({ device: stat.dev, inode: stat.ino }, found)) return store
  store[Symbol.dispose]()
  throw reference('E_REFERENCE_CHANGED', `${store.name} was exchanged for another file while it was opened`)
}

function isSame(a: { device: bigint; inode: bigint }, b: { device: bigint; inode: bigint }): boolean {
  return a.device === b.device && a.inode === b.inode
}

/** The facts of an open file; by its descriptor, so that they are those of the bytes read. */
function imageFile(path: string, store: ByteStore, role: ImageFile['role']): ImageFile {
  const stat = store.fd === undefined ? fs.statSync(path, { bigint: true }) : fs.fstatSync(store.fd, { bigint: true })
  return { path, role, size: store.size, allocated: Number(stat.blocks) * 512, device: stat.dev, inode: stat.ino }
}

export { OpenedImage, type ImageFile, type Layer } from './opened.js'
