import { Worker } from 'node:worker_threads'
import type { DescriptorRange } from '../../block/file-range.js'
import type { Work } from '../../block/work.js'
import { allowedThreads } from '../../sys/allowance.js'
import { workerHeap } from '../../sys/worker-heap.js'
import type { Bzip2Blocks } from './bzip2-scan.js'

/** What the threads of a survey share. */
export interface SurveyInput {
  readonly file: DescriptorRange
  readonly blocks: Bzip2Blocks
  /** Bytes of content of each block. Of one that holds nothing but zeros: the same, below zero. */
  readonly lengths: Int32Array
  readonly numbers: Int32Array
}

/** Numbers that the threads share: the block that is next, how many are done, and whether one failed. */
export const counters = { next: 0, done: 1, failed: 2, count: 3 } as const

const mostThreads = 16
/** How long is waited for a block before it is looked whether the work is to stop, in milliseconds. */
const longestWait = 50

/**
 * Decodes all blocks with all cores, and keeps how long their content is. Undefined where one does not decode: reading
 * from the start says why, and at which place.
 */
export function* surveyBzip2(file: DescriptorRange, blocks: Bzip2Blocks): Work<Int32Array | undefined> {
  const count = blocks.starts.length
  const total = file.end - file.start
  const lengths = new Int32Array(new SharedArrayBuffer(count * 4))
  const numbers = new Int32Array(new SharedArrayBuffer(counters.count * 4))
  const input: SurveyInput = { file, blocks, lengths, numbers }
  const threads = Array.from({ length: Math.min(allowedThreads(), mostThreads, count) }, () => {
    const worker = new Worker(new URL('./bzip2-survey-thread.js', import.meta.url), {
      workerData: input,
      resourceLimits: workerHeap,
    })
    worker.on('error', () => Atomics.store(numbers, counters.failed, 1))
    return worker
  })
  try {
    for (;;) {
      const done = Atomics.load(numbers, counters.done)
      if (Atomics.load(numbers, counters.failed) !== 0) return undefined
      if (done === count) return lengths
      Atomics.wait(numbers, counters.done, done, longestWait)
      // Blocks are of about one size, and progress is in bytes of the file.
      yield { done: Math.floor((done / count) * total), total }
    }
  } finally {
    // They end by themselves when there is no block left.
    Atomics.store(numbers, counters.next, count)
    for (const thread of threads) thread.unref()
  }
}
