import fs from 'node:fs'
import { corrupt, reference, type ImageError } from '../../src/errors.js'
import { ExtentReader } from '../../src/block/read.js'
import type { ByteStore, Extent, Section } from '../../src/block/types.js'
import type {
  DiskImage,
  DiskShape,
  FileReference,
  FormatDriver,
  ImageWriter,
  OpenContext,
  ParentReference,
} from '../../src/formats/driver.js'

const headerLength = 4096
const block = 4096
const magic = 'TOYDISK '

/** What the header of a toy image says, as JSON. */
export interface ToyHeader {
  readonly capacity: number
  /**
   * Indexes of the blocks that follow the header, in order; −1 − index for one that reads as zero and is not stored.
   */
  readonly blocks: readonly number[]
  readonly identity?: string
  readonly parent?: { readonly paths: readonly string[]; readonly format?: string; readonly identity?: string }
  readonly data?: string
  readonly encrypted?: boolean
}

/** Writes a toy image for a test: the blocks hold the byte given for them. */
export function writeToy(path: string, header: Partial<ToyHeader> & { readonly fill?: readonly number[] } = {}): void {
  const { fill = [], ...rest } = header
  const full: ToyHeader = { capacity: 4 * block, blocks: fill.map((_, index) => index), ...rest }
  const bytes = Buffer.alloc(headerLength + fill.length * block)
  bytes.write(magic + JSON.stringify(full))
  fill.forEach((byte, index) => bytes.fill(byte, headerLength + index * block, headerLength + (index + 1) * block))
  fs.writeFileSync(path, bytes)
}

class ToyImage implements DiskImage {
  readonly format = 'toy'
  readonly subformat = 'plain'
  readonly notes = []
  readonly sectorSize = 512
  readonly grain = block
  readonly capacity: number
  readonly parentReference?: ParentReference
  readonly references?: FileReference[]
  readonly identity?: string
  readonly unreadable?: ImageError
  readonly #header: ToyHeader
  readonly #store: ByteStore
  readonly #data: ByteStore | undefined
  readonly #reader = new ExtentReader(this)

  constructor(store: ByteStore, context: OpenContext) {
    const bytes = new Uint8Array(headerLength)
    store.read(0, bytes)
    const text = Buffer.from(bytes).toString('utf8').replace(/\0+$/, '')
    if (!text.startsWith(magic)) throw corrupt('E_NOT_TOY', `${store.name} is no toy image`)
    this.#header = JSON.parse(text.slice(magic.length)) as ToyHeader
    this.#store = store
    this.capacity = this.#header.capacity
    const { parent, data, identity } = this.#header
    if (identity !== undefined) this.identity = identity
    if (this.#header.encrypted === true) this.unreadable = corrupt('E_TOY_SECRET', 'this toy is locked')
    if (data !== undefined) {
      this.references = [{ role: 'data-file', path: data }]
      this.#data = context.openReference({ role: 'data-file', path: data })
    }
    if (parent !== undefined) {
      this.parentReference = {
        ...parent,
        verify: (found) => {
          if (parent.identity !== undefined && found.identity !== parent.identity)
            throw reference(
              'E_PARENT_ID',
              `${store.name} has the parent ${parent.identity}, but ${found.identity ?? 'nothing'} was found`,
            )
        },
      }
    }
  }

  extentAt(offset: number, limit: number): Extent {
    const index = Math.floor(offset / block)
    const length = Math.min(limit, (index + 1) * block - offset, this.capacity - offset)
    const slot = this.#header.blocks.indexOf(index)
    if (this.#header.data !== undefined) {
      if (this.#data === undefined) throw reference('E_TOY_DATA', 'the data file was not opened')
      return { kind: 'data', offset, length, store: this.#data, position: offset }
    }
    if (slot < 0) return { kind: this.#header.blocks.includes(-1 - index) ? 'zero' : 'absent', offset, length }
    return {
      kind: 'data',
      offset,
      length,
      store: this.#store,
      position: headerLength + slot * block + (offset % block),
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return [{ title: 'Toy', facts: [{ name: 'blocks', value: this.#header.blocks.length, unit: 'count' }] }]
  }

  [Symbol.dispose](): void {
    this.#data?.[Symbol.dispose]()
    this.#store[Symbol.dispose]()
  }
}

/** A writer of toys; with the option `fault`, one that fails or lies. */
class ToyWriter implements ImageWriter {
  readonly grain = block
  readonly capacity: number
  readonly #blocks: number[] = []

  constructor(
    readonly store: ByteStore,
    readonly shape: DiskShape,
    readonly fault: string | undefined,
    readonly second: ByteStore | undefined,
  ) {
    this.capacity = Math.ceil(shape.capacity / block) * block
    store.truncate(headerLength)
  }

  place(offset: number): { store: ByteStore; position: number; length: number } {
    if (this.fault === 'place') throw new Error('a fault in the toy')
    this.#blocks.push(offset / block)
    return { store: this.store, position: headerLength + (this.#blocks.length - 1) * block, length: block }
  }

  zero(offset: number, length: number): void {
    for (let index = offset / block; index < (offset + length) / block; index++) this.#blocks.push(-1 - index)
  }

  finish(): void {
    if (this.fault === 'finish') throw corrupt('E_TOY_FINISH', 'the toy cannot be finished')
    const stored = this.#blocks.filter((index) => index >= 0)
    const blocks = this.fault === 'lie' ? stored.slice(1) : [...stored, ...this.#blocks.filter((index) => index < 0)]
    const { parent } = this.shape
    const header: ToyHeader = {
      capacity: this.capacity,
      blocks,
      identity: this.shape.identity.uuid,
      parent: parent === undefined ? undefined : { paths: [parent.relativePath], format: parent.image.format },
    }
    this.second?.write(0, Buffer.from('second'))
    this.store.truncate(headerLength + stored.length * block)
    this.store.write(0, Buffer.from(magic + JSON.stringify(header)))
    this.store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}

/** A format of the tests: parents, data files, writing, and faults on demand. */
export const toy: FormatDriver = {
  apiVersion: 1,
  id: 'toy',
  title: 'Toy image',
  extensions: ['toy'],
  subformats: [{ id: 'plain', summary: 'the only kind' }],
  features: { parents: 'create', snapshots: false, compression: [], sectorSizes: [512] },
  options: [
    { name: 'fault', type: 'choice', choices: ['place', 'finish', 'lie'], summary: 'what goes wrong' },
    { name: 'second-file', type: 'string', summary: 'a further file beside the image' },
  ],
  probe: (head) => (Buffer.from(head.subarray(0, magic.length)).toString('latin1') === magic ? 'certain' : 'no'),
  open: (store, context) => new ToyImage(store, context),
  create: (store, shape, options, context) => {
    const second = options['second-file']
    return new ToyWriter(
      store,
      shape,
      options['fault'] as string | undefined,
      typeof second === 'string' ? context.createFile(second) : undefined,
    )
  },
}
