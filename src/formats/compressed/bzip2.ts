import { rangeInFile } from '../../block/file-range.js'
import type { ByteStore } from '../../block/types.js'
import { UnitList, UnitSource } from '../../block/unit-source.js'
import type { Work } from '../../block/work.js'
import { codecFor } from '../../codec/registry.js'
import { bytesOfBlock } from '../../codec/stream/bzip2-block.js'
import { scanBzip2 } from '../../codec/stream/bzip2-scan.js'
import { surveyBzip2 } from '../../codec/stream/bzip2-survey.js'
import type { WrapperDriver } from '../driver.js'
import { wholeStream } from './whole-stream.js'

export const bzip2: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'bzip2',
  title: 'bzip2',
  extensions: ['bz2', 'bzip2'],
  access: 'by its blocks, or unpacked',
  probe: (head) =>
    /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/.test(
      Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 10)).toString('latin1'),
    )
      ? 'certain'
      : 'no',
  *open(store) {
    const units = yield* blockUnits(store)
    if (units === undefined) return wholeStream('bzip2', store)
    const { list, level } = units
    const source = new UnitSource(store, codecFor(`bzip2-block-${level}`), list)
    return { members: [{ size: list.capacity, source }] }
  },
}

/**
 * The blocks of a file, all of which were decoded once: nothing records how long their content is. Undefined where the
 * file is damaged, which decoding it from its start describes, or has no more than one block.
 */
function* blockUnits(store: ByteStore): Work<{ readonly list: UnitList; readonly level: number } | undefined> {
  const range = rangeInFile(store, { start: 0, end: store.size })
  if (range === undefined) return undefined
  const blocks = yield* scanBzip2((position, target) => store.read(position, target), store.size)
  if (blocks === undefined || blocks.starts.length < 2) return undefined
  const lengths = yield* surveyBzip2(range, blocks)
  if (lengths === undefined) return undefined
  const list = new UnitList()
  for (const [index, length] of lengths.entries()) {
    const stored = bytesOfBlock(blocks.starts[index] ?? 0, blocks.ends[index] ?? 0)
    if (length < 0) list.addZeros(-length)
    else list.add(stored.position, stored.length, length)
  }
  return { list, level: blocks.levels.reduce((largest, level) => Math.max(largest, level), 1) }
}
