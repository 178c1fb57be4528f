import { receiveMessageOnPort } from 'node:worker_threads'
import { rebuilt } from '../errors.js'
import { BlocksAhead } from './blocks-ahead.js'
import type { FarFailure, FarPort } from './far-port.js'
import { KeptPages } from './kept-pages.js'

/**
 * Reads a file of another computer forward up to `end`, in a thread that its port was sent to: fills `target` whole,
 * and has what is behind it read meanwhile. The thread waits.
 * @throws ImageError as the thread that has the connections; where it does not answer.
 */
export function farReading(far: FarPort, end: number): (position: number, target: Uint8Array) => void {
  const { port, pages, longest, silent } = far
  const kept = new KeptPages(Infinity, pages)
  const blocks = new BlocksAhead({
    end,
    kept,
    longest,
    silent: () => rebuilt(silent),
    send: (read) => port.postMessage({ id: 0, ...read }),
  })
  const failureAt = (start: number): Error => {
    for (let found = receiveMessageOnPort(port); found !== undefined; found = receiveMessageOnPort(port)) {
      const { offset, failure } = found.message as FarFailure
      if (offset === start) return rebuilt(failure)
    }
    return new Error(`nothing was sent of why byte ${start} could not be read`)
  }
  return (position, target) => {
    for (let done = 0; done < target.length;) {
      const rest = target.subarray(done)
      const fromPage = kept.copy(position + done, rest)
      const taken = fromPage > 0 ? { count: fromPage, start: 0 } : blocks.take(position + done, rest)
      if (taken.count === 0) throw failureAt(taken.start)
      done += taken.count
    }
  }
}
