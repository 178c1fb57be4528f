const high = 2 ** 32

/** A refcount table entry: the position of a refcount block, bits 0-8 are reserved; 0 where there is none. */
export function decodeRefcountTableEntry(table: DataView, index: number): number {
  return table.getUint32(index * 8) * high + ((table.getUint32(index * 8 + 4) & 0xfffffe00) >>> 0)
}

/** Whether a refcount table entry has reserved bits set. */
export function hasReservedRefcountBits(table: DataView, index: number): boolean {
  return (table.getUint32(index * 8 + 4) & 0x1ff) !== 0
}

/** The refcount at `index` of a block; entries are 2^order bits wide, those below a byte lie lowest bit first. */
export function decodeRefcount(block: DataView, index: number, order: number): number {
  switch (order) {
    case 3:
      return block.getUint8(index)
    case 4:
      return block.getUint16(index * 2)
    case 5:
      return block.getUint32(index * 4)
    case 6:
      return block.getUint32(index * 8) * high + block.getUint32(index * 8 + 4)
    default: {
      const bits = 1 << order
      const byte = block.getUint8(Math.floor((index * bits) / 8))
      return (byte >>> ((index * bits) % 8)) & (2 ** bits - 1)
    }
  }
}

/** Sets the refcount at `index` of a block. `value` fits the width. */
export function encodeRefcount(block: DataView, index: number, order: number, value: number): void {
  switch (order) {
    case 3:
      block.setUint8(index, value)
      return
    case 4:
      block.setUint16(index * 2, value)
      return
    case 5:
      block.setUint32(index * 4, value)
      return
    case 6:
      block.setUint32(index * 8, Math.floor(value / high))
      block.setUint32(index * 8 + 4, value % high)
      return
    default: {
      const bits = 1 << order
      const at = Math.floor((index * bits) / 8)
      const shift = (index * bits) % 8
      const mask = (2 ** bits - 1) << shift
      block.setUint8(at, (block.getUint8(at) & ~mask) | (value << shift))
    }
  }
}
