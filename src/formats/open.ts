import type { ByteStore, Note } from '../block/types.js'
import { finish, type Work } from '../block/work.js'
import { isImageError, printable, reference, unsupported, usage, type ImageError } from '../errors.js'
import { HostLocation } from '../location/file.js'
import { ReferenceGate, type GateFile, type GateRequest } from '../location/gate.js'
import type { Location } from '../location/location.js'
import type { ParentMapping } from '../location/parent-map.js'
import { MemberLocation } from '../location/member.js'
import { StreamLocation } from '../location/stream.js'
import type { TrustedFolder } from '../location/walk.js'
import type {
  DiskImage,
  FileReference,
  FormatDriver,
  ImageInside,
  InsideOptions,
  OpenContext,
  OptionValues,
  ParentReference,
} from './driver.js'
import { beside, imageFile, ImageFiles, notAChild, notTheParent, openFound, ownFile } from './found-file.js'
import { diskIn } from './disk-folder.js'
import { InsideImage } from './inside.js'
import { OpenedImage, type ImageFile, type Layer } from './opened.js'
import type { ReadingForward } from './member-file.js'
import { capacityNotes, digestOptions, ignoresDigests } from './outside.js'
import { ignoreChecksums } from './option-specs.js'
import { checkOptions, optionsAmong } from './options.js'
import { parentDriver } from './parent-driver.js'
import { detectFormat, ProbedFile, readAsRaw } from './probe.js'
import { OpenedWrapper } from './opened-wrapper.js'
import { contentsOf, unwrap, type Contents } from './unwrap.js'
import { wrapperContext } from './wrapper-context.js'
import type { DiskBelow, Unwrapped } from './wrapping.js'
import { Registry } from './registry.js'

export interface OpenOptions {
  readonly registry?: Registry
  /** The format's id; found from the content when left out. `raw` reads any file as it is. */
  readonly from?: string
  /** Reads an internal snapshot, by id or name, instead of the active disk. */
  readonly snapshot?: string
  /** Options for reading, of the formats of the image and its parents. */
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
   * `optional`: a missing parent or data file is part of the result, not thrown; reading it throws. Default `required`.
   */
  readonly chain?: 'required' | 'optional'
  /** Where a compressed file is unpacked; default: the system's folder for temporary files. */
  readonly scratchFolder?: string
  /** The image is read once, from its start to its end: a compressed raw disk need not be unpacked before. */
  readonly forward?: ReadingForward
  /** Files beside the image that have another name for now: final name → present name. */
  readonly renamed?: ReadonlyMap<string, string>
  /** Looks at every file that is opened; what it finds is among the image's notes. */
  readonly watch?: (file: ImageFile, descriptor: number) => readonly Note[]
}

/** Chains deeper than this are not met outside attacks; each layer costs a descriptor. */
const maximumDepth = 255

/** Opens an image file and its chain of parents. Sources are never opened for writing. @throws ImageError */
export function openFile(path: string, options: OpenOptions = {}): OpenedImage {
  return openLocation(new HostLocation(path), options)
}

/** Opens an image, wherever it is. @throws ImageError */
export function openLocation(self: Location, options: OpenOptions = {}): OpenedImage {
  const place = diskIn(self, options)
  return openStore(place.store(), place, { ...options, from: options.from ?? place.format })
}

/**
 * Opens an image from a store, which the result owns and closes; so does a failure.
 * @param self where it lies; undefined when it is no file of its own (standard input): it then can name no other file.
 */
export function openStore(store: ByteStore, self?: Location, options: OpenOptions = {}): OpenedImage {
  return finish(openWork(store, self, options))
}

/** As {@link openStore}, step by step. */
export function* openWork(store: ByteStore, self?: Location, options: OpenOptions = {}): Work<OpenedImage> {
  const location: Location = self ?? new StreamLocation(store)
  const registry = options.registry ?? new Registry()
  const file = new ProbedFile(store, registry)
  // `--from raw` reads any file as it is; other formats are what is looked for inside.
  if (options.from === 'raw') {
    if (location.member === undefined) return yield* new ChainOpener(options).open(file, location)
    store[Symbol.dispose]()
    throw usage('E_OPTIONS', `${location.label} cannot be read as raw and as a file with several disks in it at once`)
  }
  const files = location.path === undefined ? [] : [imageFile(location, store, 'image')]
  const watched = (file: ImageFile, { fd }: ByteStore): readonly Note[] =>
    fd === undefined ? [] : (options.watch?.(file, fd) ?? [])
  const further: Note[] = []
  const unwrapped = yield* unwrap(file, location, {
    scratchFolder: options.scratchFolder,
    forward: options.from === undefined ? options.forward : undefined,
    member: registry.find(options.from ?? '')?.severalDisks === true ? undefined : location.member,
    found: () => files.flatMap((file) => watched(file, store)),
    context: (at) =>
      wrapperContext(at, options, ({ store: opened, location: found }) => {
        const own = imageFile(found, opened, 'image')
        files.push(own)
        further.push(...watched(own, opened))
      }),
  })
  return unwrapped.wrappings.length === 0
    ? yield* new ChainOpener(options).open(file, location)
    : yield* new ChainOpener(options).open(unwrapped.file, unwrapped.own ?? location, {
        ...unwrapped,
        notes: [...(store.notes ?? []), ...unwrapped.notes, ...further],
        files,
      })
}

/** As {@link openWork}, of what only lists the disks in it: undefined where it is an image, or holds one thing. */
export function* contentsWork(self: Location, options: OpenOptions = {}): Work<Contents | undefined> {
  const place = diskIn(self, options)
  return yield* contentsOf(new ProbedFile(place.store(), options.registry ?? new Registry()), place, {
    scratchFolder: options.scratchFolder,
    context: (at) => wrapperContext(at, options),
  })
}

/** An image in files of another. */
function* openInside(
  store: ByteStore,
  { name, formats }: InsideOptions,
  outer: Location,
  { registry, scratchFolder }: OpenOptions,
): Work<ImageInside> {
  const from = formats.length === 1 ? formats[0] : undefined
  const place = new MemberLocation(outer, name, store.name)
  return new InsideImage(yield* openWork(store, place, { registry, scratchFolder, from }), formats)
}

/** What the image asked for was taken out of: there is something around it. */
interface Outside extends Unwrapped {
  readonly files: readonly ImageFile[]
}

/** Another disk of the file that an image lies in, as the user would name it. */
function besideOf({ location }: Layer, { location: found }: Outside): Location {
  return location.path === undefined || !(found instanceof MemberLocation)
    ? location
    : new HostLocation(location.path, found.inside)
}

class ChainOpener {
  readonly #options: OpenOptions
  readonly #registry: Registry
  readonly #gate: ReferenceGate
  readonly #layers: Layer[] = []
  readonly #folders: TrustedFolder[] = []
  /** The disks below images, where what an image lies in says which that is. */
  readonly #below = new Map<DiskImage, DiskBelow>()
  /** Whether the image asked for is named as a raw disk, and its guest may have written what it names. */
  #namedRaw: boolean | undefined

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

  *open(file: ProbedFile, self: Location, outside?: Outside): Work<OpenedImage> {
    try {
      let layer = this.#openTop(file, self, outside)
      this.#layers.push(layer)
      let missing: ImageError | undefined
      while (layer.image.parentReference !== undefined || this.#below.has(layer.image)) {
        try {
          layer = yield* this.#openParent(layer)
        } catch (error) {
          if (!isImageError(error) || this.#options.chain !== 'optional') throw error
          missing = error
          break
        }
        this.#layers.push(layer)
      }
      if (missing === undefined) this.#refuseUnusedOptions()
      return new OpenedImage(this.#layers, missing)
    } catch (error) {
      for (const { image } of this.#layers) image[Symbol.dispose]()
      throw error
    }
  }

  #openTop(file: ProbedFile, self: Location, outside: Outside | undefined): Layer {
    const { store } = file
    let driver: FormatDriver
    let notes: readonly Note[] = []
    try {
      if (outside?.plain === true) driver = this.#registry.plain
      else if (this.#options.from === undefined)
        ({
          driver,
          notes,
          namedRaw: this.#namedRaw,
        } = detectFormat(file, (outside?.location ?? self).name, outside !== undefined))
      else {
        driver = this.#registry.get(this.#options.from)
        if (driver.plain === true) notes = readAsRaw(file)
      }
      if (this.#options.snapshot !== undefined && !driver.features.snapshots) {
        throw unsupported('E_NO_SNAPSHOTS', `${store.name} is a ${driver.title}, a format without internal snapshots`)
      }
      this.#optionsOf(driver)
    } catch (error) {
      store[Symbol.dispose]()
      throw error
    }
    return this.#openLayer(store, self, driver, notes, 'image', outside)
  }

  /**
   * Those of the options for reading that a format has: they are for every image of the chain. One that no format has
   * is refused at once. @throws ImageError usage E_UNKNOWN_OPTION, E_OPTION_VALUE.
   */
  #optionsOf(driver: FormatDriver): OptionValues {
    const specs = driver.openOptions ?? []
    const given = this.#options.options ?? {}
    const everywhere = [...this.#registry].flatMap((known) => known.driver.openOptions ?? [])
    const isKnown = Object.keys(given).every((name) => everywhere.some((spec) => spec.name === name))
    return checkOptions(specs, isKnown ? optionsAmong(specs, given) : given, `reading ${driver.id}`)
  }

  /** An option that no image of the chain has would be without effect. @throws ImageError usage E_UNKNOWN_OPTION */
  #refuseUnusedOptions(): void {
    const known = this.#layers.flatMap(({ driver, wrappings }) => [
      ...(driver.openOptions ?? []),
      ...digestOptions(wrappings),
    ])
    const [top] = this.#layers
    if (top !== undefined) checkOptions(known, this.#options.options ?? {}, `reading ${top.driver.id}`)
  }

  /** @throws ImageError reference E_REFERENCE_NOT_ALLOWED where a guest may have written the name. */
  #refuseGuestNames(name: string, role: string): void {
    if (this.#namedRaw !== true || this.#layers.length > 1) return
    throw reference(
      'E_REFERENCE_NOT_ALLOWED',
      `${name} is named as a raw disk, whose guest can write anything into it: the ${role} that it names is not opened`,
      { hint: 'Use --from with its format if it is an image, or --from raw if its bytes are those of the disk.' },
    )
  }

  /** Opens one image; the store is closed when that fails. */
  #openLayer(
    store: ByteStore,
    self: Location,
    driver: FormatDriver,
    notes: readonly Note[],
    role: 'image' | 'parent',
    outside?: Outside,
  ): Layer {
    const { wrappings = [], below } = outside ?? {}
    const files = new ImageFiles(outside?.files ?? [])
    const extra: Note[] = [...(outside?.notes ?? store.notes ?? [])]
    const further: ByteStore[] = []
    try {
      this.#folders.push(...this.#gate.foldersOf(self))
      if (self.path !== undefined && outside === undefined)
        files.add(this.#watched(imageFile(self, store, role), store, extra))
      const options = this.#optionsOf(driver)
      const context: OpenContext = {
        ...(role === 'image' && this.#options.snapshot !== undefined ? { snapshot: this.#options.snapshot } : {}),
        options,
        self: outside?.location ?? self,
        openInside: (inner, inside) => openInside(inner, inside, self, this.#options),
        openReference: (wanted, at) => {
          const places = { image: self, inside: context.self, imageName: store.name }
          const opened = this.#openReference(wanted, at, places, files, extra)
          if (opened !== undefined) further.push(opened)
          return opened
        },
        include: (own, more) => {
          further.push(own)
          for (const file of more) files.add(ownFile(file))
        },
      }
      const image = driver.open(store, context)
      if (below !== undefined) this.#below.set(image, below)
      extra.push(...capacityNotes(wrappings, image, store.name))
      return {
        name: store.name,
        location: self,
        inside: context.self,
        path: self.path,
        driver,
        image,
        files: files.list,
        stores: [store, ...further],
        notes: [...notes, ...extra],
        wrappings,
        ignoresChecksums: options[ignoreChecksums.name] === true || ignoresDigests(wrappings, this.#options.options),
      }
    } catch (error) {
      for (const opened of further) opened[Symbol.dispose]()
      store[Symbol.dispose]()
      throw error
    }
  }

  #openReference(
    wanted: FileReference,
    at: Location | undefined,
    places: Pick<GateRequest, 'image' | 'inside' | 'imageName'>,
    files: ImageFiles,
    notes: Note[],
  ): ByteStore | undefined {
    const role = wanted.role === 'data-file' ? 'data file' : wanted.role
    const { imageName } = places
    try {
      // What lies beside the image under a name that belongs to its own is no name that a guest can write.
      if (at === undefined) this.#refuseGuestNames(imageName, role)
      const found = at === undefined ? this.#named(wanted, places) : beside(at)
      if (this.#layerOf(found) >= 0 || places.inside?.id === found.id || files.has(found.id)) {
        throw reference(
          'E_REFERENCE_LOOP',
          `${imageName} names ${printable(wanted.path)} as its ${role}, which is part of the image already`,
        )
      }
      const store = openFound(found)
      files.add(this.#watched({ ...imageFile(found.location, store, wanted.role), stored: wanted.path }, store, notes))
      return store
    } catch (error) {
      if (!isImageError(error) || this.#options.chain !== 'optional') throw error
      notes.push({ code: error.code, message: error.message })
      return undefined
    }
  }

  /** What an image names besides its parent. @throws ImageError reference when it is not there, or not allowed. */
  #named({ role, path }: FileReference, places: Pick<GateRequest, 'image' | 'inside' | 'imageName'>): GateFile {
    const present =
      places.image === this.#layers[0]?.location || this.#layers.length === 0
        ? this.#options.renamed?.get(path)
        : undefined
    const answer = this.#gate.find({
      role: role === 'data-file' ? 'data file' : role,
      ...places,
      names: [present ?? path],
      verifiable: false,
      folders: this.#folders,
    })
    const [found] = answer.files
    if (found === undefined) throw answer.failure
    return found
  }

  #watched(file: ImageFile, { fd }: ByteStore, notes: Note[]): ImageFile {
    if (fd !== undefined) notes.push(...(this.#options.watch?.(file, fd) ?? []))
    return file
  }

  /** Opens the disk below: the one that the archive says, or the first of the files that may be it. */
  *#openParent(child: Layer): Work<Layer> {
    const below = this.#below.get(child.image)
    const wanted = child.image.parentReference
    this.#refuseGuestNames(child.name, 'parent')
    if (this.#layers.length > maximumDepth) {
      throw reference(
        'E_CHAIN_TOO_LONG',
        `${this.#layers[0]?.name ?? ''}: its chain has more than ${maximumDepth} parents`,
      )
    }
    if (wanted === undefined) throw notAChild(child.name, below?.id ?? '')
    const answer = this.#gate.find({
      role: 'parent',
      image: child.location,
      inside: child.inside,
      imageName: child.name,
      names: wanted.paths,
      verifiable: wanted.identity !== undefined,
      recognise: wanted.recognise?.bind(wanted),
      folders: this.#folders,
    })
    const isMapped = answer.files.some(({ by }) => by === 'map')
    if (below !== undefined && !isMapped) return yield* this.#openRecorded(child, wanted, below)
    const failures: { readonly found: GateFile; readonly error: ImageError }[] = []
    for (const found of answer.files) {
      try {
        return yield* this.#openFoundParent(child, wanted, found)
      } catch (error) {
        if (!isImageError(error)) throw error
        failures.push({ found, error })
      }
    }
    throw notTheParent(failures) ?? answer.failure
  }

  /** The disk that what the child lies in says is below it. */
  *#openRecorded(child: Layer, wanted: ParentReference, below: DiskBelow): Work<Layer> {
    const outside = { ...(yield* below.open()), files: [] }
    const layer = this.#parentLayer(child, wanted, outside.file, outside.own ?? besideOf(child, outside), [], outside)
    try {
      for (const { code, message } of wanted.check?.(layer.image, undefined) ?? [])
        if (code === 'W_PARENT_CAPACITY')
          throw reference('E_PARENT_CAPACITY', `${child.name} lies over ${layer.name}, and ${message}`)
    } catch (error) {
      layer.image[Symbol.dispose]()
      throw error
    }
    return layer
  }

  /** Which layer a file is part of; -1: of none. */
  #layerOf(found: GateFile): number {
    return this.#layers.findIndex(
      ({ files, inside }) => inside.id === found.id || files.some(({ id }) => id === found.id),
    )
  }

  *#openFoundParent(child: Layer, wanted: ParentReference, found: GateFile): Work<Layer> {
    const loop = this.#layerOf(found)
    if (loop >= 0) {
      throw reference(
        'E_PARENT_LOOP',
        `${child.name} has ${found.location.label} as its parent, which is the same file as ` +
          `${this.#layers[loop]?.name ?? ''}: the chain goes in a circle`,
      )
    }
    const { location } = found
    const { inside, neighbours } = location instanceof MemberLocation ? location : {}
    if (inside !== undefined && neighbours instanceof OpenedWrapper) {
      const outside = { ...(yield* neighbours.unwrapped(inside)), files: [] }
      const layer = this.#parentLayer(child, wanted, outside.file, besideOf(child, outside), [], outside)
      return { ...layer, foundBy: found.by }
    }
    const store = openFound(found)
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
    const layer = this.#parentLayer(child, wanted, new ProbedFile(store, this.#registry), location, byName)
    return { ...layer, foundBy: found.by }
  }

  /** Opens a file as the parent of an image, if it is; it is closed when that fails. */
  #parentLayer(
    child: Layer,
    wanted: ParentReference,
    file: ProbedFile,
    self: Location,
    notes: readonly Note[],
    outside?: Outside,
  ): Layer {
    let driver: FormatDriver
    try {
      driver = parentDriver(child.name, wanted, file, (outside?.location ?? self).name, this.#options.parentFormat)
    } catch (error) {
      file.store[Symbol.dispose]()
      throw error
    }
    const layer = this.#openLayer(file.store, self, driver, notes, 'parent', outside)
    try {
      wanted.verify(layer.image)
    } catch (error) {
      layer.image[Symbol.dispose]()
      throw error
    }
    return layer
  }
}

export { OpenedImage, type ImageFile, type Layer } from './opened.js'
