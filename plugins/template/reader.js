import codec from './codec.js'
import { blockSize } from './layout.js'

/** An image that is open. Everything that the file says is checked before it is used. */
export function hexDisk(store, { corrupt, ceilDivide, ExtentReader }, { header, entry }) {
  const bad = (what, position) =>
    corrupt('E_HEADER', `${store.name}: ${what} (byte ${position})`, { details: { position } })
  const number = (text, what, position) => {
    const value = /^[0-9a-f]+$/.test(text) ? parseInt(text, 16) : NaN
    if (!Number.isSafeInteger(value)) throw bad(`the ${what} is no hexadecimal number`, position)
    return value
  }

  const head = new Uint8Array(Math.min(header.size, store.size))
  store.read(0, head)
  const fields = header.read(head)
  const capacity = number(fields.capacity, 'capacity', 9)
  if (number(fields.blockSize, 'block size', 26) !== blockSize) throw bad('blocks have another size than 64 KiB', 26)
  const tableLength = ceilDivide(capacity, blockSize) * entry.size
  if (header.size + tableLength > store.size) throw bad('the file ends within its table', store.size)
  const table = new Uint8Array(tableLength)
  store.read(header.size, table)

  const image = {
    format: 'hexdisk',
    subformat: 'blocks',
    notes: [],
    capacity,
    sectorSize: 512,
    grain: blockSize,
    /** The run at an offset. The block's end, the disk's end and `limit` all end it. */
    extentAt(offset, limit) {
      const index = Math.floor(offset / blockSize)
      const unitOffset = index * blockSize
      const length = Math.min(limit, unitOffset + blockSize - offset, capacity - offset)
      const at = header.size + index * entry.size
      const values = entry.read(table, index * entry.size)
      const stored = number(values.stored, 'stored length', at + 17)
      if (stored === 0) return { kind: 'zero', offset, length }
      const position = number(values.position, 'position', at)
      if (stored > blockSize || position + stored > store.size) throw bad(`block ${index} leaves the file`, at)
      if (stored === blockSize) return { kind: 'data', offset, length, store, position: position + offset - unitOffset }
      return {
        kind: 'packed',
        offset,
        length,
        store,
        position,
        storedLength: stored,
        codec,
        unitOffset,
        unitLength: blockSize,
      }
    },
    read: (offset, target) => reader.read(offset, target),
    describe: () => [
      {
        title: 'Hexdisk',
        facts: [{ name: 'blocks', value: tableLength / entry.size, unit: 'count' }],
        fields: header.rows(head, 0),
      },
    ],
    // The image owns the store.
    [Symbol.dispose]: () => store[Symbol.dispose](),
  }
  const reader = new ExtentReader(image)
  return image
}
