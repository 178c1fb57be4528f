import type { Work } from '../../../block/work.js'
import type { ByteStore } from '../../../block/types.js'
import type { RepairAction } from '../../driver.js'
import { BlockMap } from '../format/block-map.js'
import { isStored } from '../format/entries.js'
import { readHeader } from '../format/header.js'
import { header as layout, header0, version0 } from '../format/structs.js'
import { checkVdi } from './check.js'

const entriesPerStep = 65536

/**
 * Corrects the count of blocks in the file where the map proves it: every entry of the map then names a block of its
 * own, whole in the file. Places of blocks are never guessed.
 * @throws ImageError as opening does.
 */
export function* repairVdi(store: ByteStore): Work<void, RepairAction> {
  const header = readHeader(store)
  const map = new BlockMap(store, header.mapPosition, header.blocks)
  let highest = -1
  for (let block = 0; block < header.blocks; block++) {
    const word = map.word(block)
    if (isStored(word)) highest = Math.max(highest, word)
    if (block % entriesPerStep === 0) yield { done: block, total: header.blocks }
  }
  const proved = highest + 1
  if (proved === header.allocated || proved > header.blocks) return
  for (const item of checkVdi(store, { ...header, allocated: proved }))
    if ('severity' in item && item.severity === 'error') return
  const { offset } = (header.version === version0 ? header0 : layout).fields.blocksAllocated
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, proved, true)
  store.write(offset, bytes)
  store.flush()
  yield {
    code: proved > header.allocated ? 'E_MAP' : 'W_BLOCKS_ALLOCATED',
    structure: 'header',
    position: offset,
    message: `set the number of allocated blocks to ${proved}, which the map proves (it was ${header.allocated})`,
  }
}
