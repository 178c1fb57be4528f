import { MemoryStore } from '../../src/block/memory-store.js'
import type { ByteStore } from '../../src/block/types.js'
import { derivedUuid } from '../../src/binary/guid.js'
import type {
  CreateContext,
  DiskImage,
  DiskShape,
  FormatDriver,
  OpenContext,
  OptionValues,
} from '../../src/formats/driver.js'
import { memoryLocation } from './locations.js'
import { builtinDrivers } from '../../src/formats/registry.js'

const uuid = '6f1c4e2a-91d3-4b7e-8a55-0c2d3e4f5a6b'

/** A shape with fixed ids and time. */
export function shape(capacity: number, rest: Partial<DiskShape> = {}): DiskShape {
  return {
    capacity,
    sectorSize: 512,
    identity: { uuid, derive: (name) => derivedUuid(uuid, name), time: 1_700_000_000 },
    ...rest,
  }
}

export const openContext: OpenContext = {
  options: {},
  openReference: () => undefined,
  self: memoryLocation('image'),
}

export const createContext: CreateContext = {
  createFile: (name) => {
    throw new Error(`no file ${name} was expected`)
  },
}

export function driver(id: string): FormatDriver {
  const found = builtinDrivers.find((candidate) => candidate.id === id)
  if (found === undefined) throw new Error(`no driver ${id}`)
  return found
}

/** Further files of images in memory, by the image's own store. */
const furtherFiles = new WeakMap<ByteStore, Map<string, MemoryStore>>()

/** A context for an image of several files in memory; {@link openWith} finds them again. */
export function createIn(store: ByteStore): CreateContext {
  const files = new Map<string, MemoryStore>()
  furtherFiles.set(store, files)
  return {
    name: 'image.vmdk',
    createFile: (name) => {
      const file = new MemoryStore(undefined, name)
      files.set(name, file)
      return file
    },
  }
}

/** The files that {@link createIn} made beside an image. */
export function filesBeside(store: ByteStore): ReadonlyMap<string, MemoryStore> {
  return furtherFiles.get(store) ?? new Map<string, MemoryStore>()
}

export function openWith(id: string, store: ByteStore, context: Partial<OpenContext> = {}): DiskImage {
  return driver(id).open(store, {
    ...openContext,
    openReference: ({ path }) => {
      const file = filesBeside(store).get(path)
      // The image closes what it opened; the content stays.
      return file === undefined ? undefined : new MemoryStore(file.contents(), path)
    },
    ...context,
  })
}

/** Every format and subformat that can be created, with the options that make it. */
export function creatable(): { title: string; driver: FormatDriver; options: OptionValues }[] {
  return builtinDrivers
    .filter((each) => each.create !== undefined)
    .flatMap((each) =>
      each.subformats.map(({ id }) => ({
        title: `${each.id} ${id}`,
        driver: each,
        options: each.options.some(({ name }) => name === 'subformat') ? { subformat: id } : {},
      })),
    )
}
