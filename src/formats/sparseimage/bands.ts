import { ceilDivide, viewOf } from '../../binary/integers.js'
import type { FieldRow } from '../../binary/struct.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints, unsupported } from '../../errors.js'
import { header as layout, indexNode, magic, nodeLength, sectorLength } from './structs.js'

/** Bands of a disk at most: 16 TiB in bands of 1 MiB. Four bytes each are kept. */
const mostBands = 16 * 1024 * 1024
/** A band whose place two slots claim. */
const claimedTwice = 0xffffffff

/** Where the bands of a disk lie. Positions and sizes in bytes. */
export interface Bands {
  readonly bandSize: number
  readonly capacity: number
  /** Slots that hold a band. */
  readonly used: number
  readonly nodes: number
  readonly rows: readonly FieldRow[]
  /** Undefined where it is not stored, −1 where two slots hold it. */
  positionOf(band: number): number | undefined
}

interface Node {
  readonly position: number
  /** The number of its first slot. */
  readonly firstSlot: number
}

/** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_MAP, E_TOO_LARGE; unsupported E_VERSION. */
export function readBands(store: ByteStore): Bands {
  const { name } = store
  const bytes = headerBytes(store, nodeLength, 'the header of a sparse image')
  const values = layout.read(bytes)
  const bad = badField(name)
  if (values.signature !== magic) throw bad('no sparse image of Apple', 0)
  if (values.version !== 3)
    throw unsupported('E_VERSION', `${name}: version ${values.version}; only 3 is known (header byte 4)`)
  const bandSize = values.sectorsPerBand * sectorLength
  if (bandSize === 0 || bandSize > 2 ** 31) throw bad(`a band has ${values.sectorsPerBand} sectors`, 8)
  const { totalSectors, totalSectorsLow } = values
  // Old images have 32 bits of it alone.
  const sectors = totalSectors === 0n ? BigInt(totalSectorsLow) : totalSectors
  if (BigInt.asUintN(32, sectors) !== BigInt(totalSectorsLow))
    throw bad(`the disk has ${totalSectorsLow} sectors by one field and ${totalSectors} by another`, 16)
  const count = sectors > 2n ** 44n ? Infinity : ceilDivide(Number(sectors) * sectorLength, bandSize)
  if (count > mostBands)
    throw corrupt(
      'E_TOO_LARGE',
      `${name}: the disk has ${sectors} sectors, in more bands than the ${mostBands} allowed`,
    )
  const walk = new Walk(store, bandSize, count)
  walk.node(bytes.subarray(layout.size), 0, values.nextNode)
  for (let position = values.nextNode; position !== 0;) position = walk.next(position)
  return {
    bandSize,
    capacity: Number(sectors) * sectorLength,
    used: walk.used,
    nodes: walk.nodes.length,
    rows: layout.rows(bytes, 0),
    positionOf: (band) => walk.positionOf(band),
  }
}

class Walk {
  readonly nodes: Node[] = []
  used = 0
  readonly #store: ByteStore
  readonly #bandSize: number
  /** For each band of the disk the number of its slot and 1; 0 where it is not stored. */
  readonly #slots: Uint32Array
  #nextSlot = 1

  constructor(store: ByteStore, bandSize: number, count: number) {
    this.#store = store
    this.#bandSize = bandSize
    this.#slots = new Uint32Array(count)
  }

  /** Reads a node behind the first. Gives where the next one is; 0 at the end. */
  next(position: number): number {
    const { name, size } = this.#store
    const before = this.nodes.at(-1)?.position ?? 0
    if (position < before + nodeLength)
      throw corrupt('E_MAP', `${name}: the node at byte ${before} leads back to byte ${position}`, {
        details: { position: before },
      })
    if (position + nodeLength > size)
      throw corrupt(
        'E_TRUNCATED',
        `${name}: a node would begin at byte ${position}, but the file ends at byte ${size}`,
        {
          details: { position, size },
          hint: hints.incomplete,
        },
      )
    const bytes = new Uint8Array(nodeLength)
    this.#store.read(position, bytes)
    const values = indexNode.read(bytes)
    if (values.signature !== magic)
      throw corrupt('E_MAP', `${name}: there is no node at byte ${position}`, { details: { position } })
    this.node(bytes.subarray(indexNode.size), position, values.nextNode)
    return values.nextNode
  }

  /** @param slots the words of a node. */
  node(slots: Uint8Array, position: number, next: number): void {
    const { name } = this.#store
    const view = viewOf(slots)
    this.nodes.push({ position, firstSlot: this.#nextSlot })
    const start = position + nodeLength
    for (let slot = 0; slot * 4 + 4 <= slots.length; slot++) {
      const word = view.getUint32(slot * 4)
      if (word === 0) continue
      const where = position + nodeLength - slots.length + slot * 4
      const band = word - 1
      if (band >= this.#slots.length)
        throw corrupt(
          'E_MAP',
          `${name}: the word at byte ${where} says band ${band}, and the disk has ${this.#slots.length}`,
          { details: { position: where, found: word } },
        )
      if (next !== 0 && start + (slot + 1) * this.#bandSize > next)
        throw corrupt('E_MAP', `${name}: band ${band} (byte ${where}) lies upon the node at byte ${next}`, {
          details: { position: where },
        })
      this.used++
      this.#slots[band] = this.#slots[band] === 0 ? this.#nextSlot + slot : claimedTwice
    }
    this.#nextSlot += slots.length / 4
  }

  positionOf(band: number): number | undefined {
    const slot = this.#slots[band] ?? 0
    if (slot === 0) return undefined
    if (slot === claimedTwice) return -1
    const node = this.nodes.findLast(({ firstSlot }) => firstSlot <= slot)
    return (node?.position ?? 0) + nodeLength + (slot - (node?.firstSlot ?? 1)) * this.#bandSize
  }
}
