import { giveContent, type ContentTaker } from '../block/content-taker.js'
import type { BlockSource } from '../block/types.js'
import type { Work } from '../block/work.js'
import type { Finding } from './finding.js'

/** Checksums over content, which is taken while it is read. */
export interface ContentSums extends ContentTaker {
  /** What is wrong, when all was taken. */
  findings(): Iterable<Finding>
}

/** Reads what checksums are over, and compares them. @throws ImageError as reading. */
export function* compareContent(source: BlockSource, sums: ContentSums): Work<void, Finding> {
  yield* giveContent(source, sums)
  yield* sums.findings()
}
