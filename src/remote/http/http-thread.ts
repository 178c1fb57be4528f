import { answerFar } from '../far-thread.js'
import type { HttpAddress } from './address.js'
import { RangeReader } from './range-reader.js'
import type { ReaderOptions } from './reader-options.js'

/** What the thread is started with. */
export interface HttpThreadData {
  readonly address: HttpAddress
  readonly options: ReaderOptions
}

answerFar((data, head) => {
  const { address, options } = data as HttpThreadData
  return RangeReader.open(address, head, options)
})
