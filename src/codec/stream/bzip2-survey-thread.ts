/** Decodes blocks of a bzip2 file, one after the other, for how long their content is (bzip2-survey.ts). */
import fs from 'node:fs'
import { workerData } from 'node:worker_threads'
import { isZero } from '../../binary/zero.js'
import { decodeBzip2Block, bytesOfBlock } from './bzip2-block.js'
import { counters, type SurveyInput } from './bzip2-survey.js'

const { file, blocks, lengths, numbers } = workerData as SurveyInput

function lengthOf(index: number): number {
  const { position, length } = bytesOfBlock(blocks.starts[index] ?? 0, blocks.ends[index] ?? 0)
  const stored = new Uint8Array(length)
  for (let done = 0; done < length;) {
    const count = fs.readSync(file.descriptor, stored, done, length - done, file.start + position + done)
    if (count === 0) throw new RangeError('the file became shorter')
    done += count
  }
  let size = 0
  let zeros = true
  for (const piece of decodeBzip2Block(stored, blocks.levels[index] ?? 0)) {
    size += piece.length
    zeros &&= isZero(piece)
  }
  return zeros ? -size : size
}

try {
  for (;;) {
    const index = Atomics.add(numbers, counters.next, 1)
    if (index >= lengths.length) break
    lengths[index] = lengthOf(index)
    Atomics.add(numbers, counters.done, 1)
    Atomics.notify(numbers, counters.done)
  }
} catch {
  // What is wrong is found, and said, by decoding from the start.
  Atomics.store(numbers, counters.failed, 1)
  Atomics.notify(numbers, counters.done)
}
