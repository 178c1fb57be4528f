import type { ByteStore } from '../../block/types.js'
import { corrupt } from '../../errors.js'
import type { SetFile } from './backup-set.js'
import { readBlocks, type MetadataBlock } from './metadata.js'
import { blockNames } from './structs.js'

/** Where a file keeps what it says of one disk. */
export interface DiskLayout {
  readonly trackZero: MetadataBlock | undefined
  readonly extendedTable: MetadataBlock | undefined
  /** One for each partition, in the order of the description. */
  readonly indexes: readonly MetadataBlock[]
}

/**
 * The metadata of all disks: one list for each disk, then one for each of its partitions.
 * @throws ImageError corrupt E_HEADER, E_MAP, E_TRUNCATED.
 */
export function metadataOf({ store, description }: SetFile): readonly DiskLayout[] {
  let at = description.indexPosition
  const next = (): readonly MetadataBlock[] => {
    const { blocks, end } = readBlocks(store, at)
    at = end
    return blocks
  }
  return description.disks.map(({ partitions }) => {
    const own = next()
    return {
      trackZero: own.find(({ name }) => name === blockNames.trackZero),
      extendedTable: own.find(({ name }) => name === blockNames.extendedTable),
      indexes: partitions.map(({ number }) => indexIn(next(), store, number)),
    }
  })
}

function indexIn(blocks: readonly MetadataBlock[], { name }: ByteStore, partition: number): MetadataBlock {
  const index = blocks.find((block) => block.name === blockNames.index)
  if (index === undefined) throw corrupt('E_MAP', `${name}: the index of partition ${partition} is missing`)
  if (index.compressed) throw corrupt('E_HEADER', `${name}: the index of partition ${partition} says it is compressed`)
  return index
}
