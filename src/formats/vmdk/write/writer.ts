import { usage } from '../../../errors.js'
import type { ByteStore } from '../../../block/types.js'
import type { CreateContext, DiskShape, ImageWriter, OptionValues } from '../../driver.js'
import { sectorLength } from '../format/structs.js'
import { descriptorBytes, descriptorFile, descriptorSectors } from './descriptor-text.js'
import { createPlan, type CreatePlan } from './options.js'
import { grainLength, SparseExtentWriter } from './sparse-writer.js'
import { StreamWriter } from './stream-writer.js'

/** @throws ImageError usage for options and shapes that do not go together. */
export function createVmdk(
  store: ByteStore,
  shape: DiskShape,
  options: OptionValues,
  context: CreateContext,
): ImageWriter {
  const plan = createPlan(shape, options, context)
  const descriptor = descriptorBytes(plan, shape.parent)
  const file = descriptorFile(plan)
  switch (plan.createType) {
    case 'streamOptimized':
      return new StreamWriter(store, plan, fitting(descriptor), context.onePass === true)
    case 'monolithicSparse':
      return new SparseWriter([
        new SparseExtentWriter(store, plan.capacity, fitting(descriptor), shape.parent !== undefined),
      ])
    case 'twoGbMaxExtentSparse':
      return new SparseWriter(
        plan.extents.map(
          ({ name, sectors }) =>
            new SparseExtentWriter(context.createFile(name), sectors * sectorLength, undefined, false),
        ),
        { store, descriptor: file },
      )
    default:
      return new FlatWriter(store, file, plan, context)
  }
}

/** @throws ImageError usage E_PARENT_PATH where the name of a parent leaves no room. */
function fitting(descriptor: Uint8Array): Uint8Array {
  if (descriptor.length <= descriptorSectors * sectorLength) return descriptor
  throw usage(
    'E_PARENT_PATH',
    `the descriptor takes ${descriptor.length} bytes, and has ${descriptorSectors * sectorLength}`,
  )
}

interface Descriptor {
  readonly store: ByteStore
  readonly descriptor: Uint8Array
}

/** Sparse extents, one behind the other; a descriptor in the only one, or in a file of its own. */
class SparseWriter implements ImageWriter {
  readonly capacity: number
  readonly grain = grainLength
  readonly #extents: readonly { readonly writer: SparseExtentWriter; readonly start: number }[]
  readonly #descriptor: Descriptor | undefined

  constructor(writers: readonly SparseExtentWriter[], descriptor?: Descriptor) {
    let start = 0
    this.#extents = writers.map((writer) => {
      start += writer.length
      return { writer, start: start - writer.length }
    })
    this.capacity = start
    this.#descriptor = descriptor
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const { writer, start } = this.#at(offset)
    return writer.place(offset - start, Math.min(length, start + writer.length - offset))
  }

  zero(offset: number, length: number): void {
    for (let done = 0; done < length;) {
      const { writer, start } = this.#at(offset + done)
      const piece = Math.min(length - done, start + writer.length - offset - done)
      writer.zero(offset + done - start, piece)
      done += piece
    }
  }

  finish(): void {
    const stores = [...new Set(this.#extents.map(({ writer }) => writer.store))]
    for (const { writer } of this.#extents) writer.finish()
    for (const store of stores) store.flush()
    for (const { writer } of this.#extents) writer.identify()
    for (const store of stores) store.flush()
    if (this.#descriptor !== undefined) writeDescriptor(this.#descriptor)
  }

  [Symbol.dispose](): void {
    // The stores belong to the caller.
  }

  #at(offset: number): { readonly writer: SparseExtentWriter; readonly start: number } {
    // All but the last have one length.
    const [first] = this.#extents
    const extent = first === undefined ? undefined : this.#extents[Math.floor(offset / first.writer.length)]
    if (extent === undefined) throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    return extent
  }
}

function writeDescriptor({ store, descriptor }: Descriptor): void {
  store.write(0, descriptor)
  store.flush()
}

/** Flat extents: every byte at its place. */
class FlatWriter implements ImageWriter {
  readonly capacity: number
  readonly grain = 65536
  readonly placeZeros: boolean
  readonly #extents: readonly { readonly store: ByteStore; readonly length: number }[]
  readonly #descriptor: Descriptor

  constructor(store: ByteStore, descriptor: Uint8Array, plan: CreatePlan, context: CreateContext) {
    this.capacity = plan.capacity
    this.#descriptor = { store, descriptor }
    this.#extents = plan.extents.map(({ name, sectors }) => {
      const extent = context.createFile(name)
      extent.truncate(sectors * sectorLength)
      return { store: extent, length: sectors * sectorLength }
    })
    this.placeZeros = this.#extents.some(({ store: extent }) => !extent.zeroed)
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const first = this.#extents[0]?.length ?? 1
    const index = Math.floor(offset / first)
    const extent = this.#extents[index]
    if (extent === undefined) throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    const position = offset - index * first
    return { store: extent.store, position, length: Math.min(length, extent.length - position) }
  }

  zero(): void {
    // New files are zero.
  }

  finish(): void {
    for (const { store } of this.#extents) store.flush()
    writeDescriptor(this.#descriptor)
  }

  [Symbol.dispose](): void {
    // The stores belong to the caller.
  }
}
