const high = 2 ** 32
/** Bit 63 of an L2 entry. */
const compressed = 0x80000000

/** What an L2 entry says of one cluster. Positions and lengths are bytes of the host file. */
export type Mapping =
  | { readonly kind: 'absent' }
  | { readonly kind: 'data'; readonly position: number }
  | { readonly kind: 'packed'; readonly position: number; readonly storedLength: number }

const absent: Mapping = { kind: 'absent' }

/** An L1 entry is the plain position of an L2 table, 0 where there is none. */
export function decodeL1Entry(table: DataView, index: number): number {
  return table.getUint32(index * 8) * high + table.getUint32(index * 8 + 4)
}

/** The first L1 entry from `from` up to `to` that is not empty, else `to`. */
export function skipEmpty(table: DataView, from: number, to: number): number {
  let index = from
  while (index < to && table.getUint32(index * 8) === 0 && table.getUint32(index * 8 + 4) === 0) index++
  return index
}

/** An L2 entry: bit 63 marks compressed data, whose length in bytes then stands in the cluster_bits below it. */
export function decodeL2Entry(table: DataView, index: number, clusterBits: number): Mapping {
  const upper = table.getUint32(index * 8)
  const lower = table.getUint32(index * 8 + 4)
  if ((upper & compressed) === 0)
    return upper === 0 && lower === 0 ? absent : { kind: 'data', position: upper * high + lower }
  // 63 − cluster_bits bits of position, of which the upper word holds those beyond 32.
  const upperBits = 63 - clusterBits - 32
  return {
    kind: 'packed',
    position: (upper & (2 ** upperBits - 1)) * high + lower,
    storedLength: (upper >>> upperBits) & (2 ** clusterBits - 1),
  }
}
