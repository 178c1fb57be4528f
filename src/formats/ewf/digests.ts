import { createHash, type Hash } from 'node:crypto'
import type { ContentSums, Finding } from '../driver.js'
import type { Acquisition } from './acquisition.js'

const zeros = new Uint8Array(1024 * 1024)

/** The digests that were recorded when the disk was imaged, and those of what is read now. */
export class RecordedDigests implements ContentSums {
  readonly start = 0
  readonly end: number
  readonly #digests: readonly { readonly name: string; readonly recorded: string; readonly hash: Hash }[]

  constructor({ media, md5, sha1 }: Pick<Acquisition, 'media' | 'md5' | 'sha1'>) {
    this.end = media.capacity
    const of = (name: string, algorithm: string, recorded: string | undefined) =>
      recorded === undefined ? [] : [{ name, recorded, hash: createHash(algorithm) }]
    this.#digests = [...of('MD5', 'md5', md5), ...of('SHA-1', 'sha1', sha1)]
  }

  get count(): number {
    return this.#digests.length
  }

  take(_offset: number, bytes: Uint8Array): void {
    for (const { hash } of this.#digests) hash.update(bytes)
  }

  takeZeros(offset: number, length: number): void {
    for (let done = 0; done < length; done += zeros.length)
      this.take(offset + done, zeros.subarray(0, Math.min(zeros.length, length - done)))
  }

  /** What is not as it was recorded, when all of the disk was taken. */
  *findings(): Generator<Finding> {
    for (const { name, recorded, hash } of this.#digests) {
      const found = hash.digest('hex')
      if (found === recorded) continue
      yield {
        severity: 'error',
        code: 'E_DIGEST',
        structure: name,
        message: `the ${name} of the disk is ${found}, the one recorded when it was imaged is ${recorded}`,
      }
    }
  }
}
