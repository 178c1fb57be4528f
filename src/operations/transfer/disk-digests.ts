import { SliceSource } from '../../block/slice.js'
import type { BlockSource } from '../../block/types.js'
import { hashSource, type Progress } from '../../engine/index.js'
import type { BlockDigests } from '../../engine/copy.js'
import { blockLength, TreeHash } from '../../engine/tree-hash.js'
import type { ImageRecord } from '../imaging/record.js'

/** A part of a disk whose digest is wanted. Bytes. */
export interface DigestPart {
  readonly number: number
  readonly start: number
  readonly length: number
}

type Digests = ImageRecord['digests']

/**
 * The digests (docs/tree-hash.md) of a disk and of its partitions, taken while the disk is read once. Partitions whose
 * blocks are not the
 * disk's blocks (they begin at no multiple of 1 MiB) are reported as `unaligned`: their digests have to be had from the
 * image.
 */
export class DiskDigests implements BlockDigests {
  readonly #parts: readonly (DigestPart & { readonly tree: TreeHash })[]
  readonly #unaligned: readonly DigestPart[]
  readonly #disk: DigestPart & { readonly tree: TreeHash }

  /** @param capacity bytes of the disk. */
  constructor(capacity: number, parts: readonly DigestPart[]) {
    this.#disk = { number: 0, start: 0, length: capacity, tree: new TreeHash(capacity) }
    this.#parts = parts
      .filter(({ start }) => start % blockLength === 0)
      .map((part) => ({ ...part, tree: new TreeHash(part.length) }))
    this.#unaligned = parts.filter(({ start }) => start % blockLength !== 0)
  }

  ranges(offset: number, length: number): { readonly at: number; readonly length: number }[] {
    return [...this.#wanted(offset, length)].map(({ at, length: bytes }) => ({ at, length: bytes }))
  }

  add(offset: number, length: number, digests: readonly Uint8Array[]): void {
    let index = 0
    for (const { at, first, takers } of this.#wanted(offset, length)) {
      const digest = digests[index++]
      if (digest === undefined) throw new TypeError(`the digest of the block at offset ${offset + at} is missing`)
      for (const { tree, start } of takers) tree.add(first - start, digest)
    }
  }

  /**
   * What goes into a record.
   * @param image the new image, read where a digest could not be taken on the way. @throws ImageError aborted E_ABORTED
   */
  async result(image: () => BlockSource | Promise<BlockSource>, signal?: AbortSignal): Promise<Digests> {
    const partitions = this.#parts.map(({ number, start, length, tree }) => ({
      number,
      start,
      length,
      digest: hexadecimal(tree.digest()),
    }))
    for (const { number, start, length } of this.#unaligned) {
      partitions.push({
        number,
        start,
        length,
        digest: hexadecimal(
          await hashSource(new SliceSource(await image(), start, length), { algorithm: 'tree', signal }),
        ),
      })
    }
    const { start, length, tree } = this.#disk
    return {
      algorithm: 'tree1',
      disk: { start, length, digest: hexadecimal(tree.digest()) },
      partitions: partitions.sort((a, b) => a.number - b.number),
    }
  }

  /** Each distinct block within a chunk, and whose it is. A partition's last block may be shorter than the disk's. */
  *#wanted(
    offset: number,
    length: number,
  ): Generator<{
    readonly at: number
    readonly length: number
    readonly first: number
    readonly takers: readonly { readonly tree: TreeHash; readonly start: number }[]
  }> {
    for (let at = 0; at < length; at += blockLength) {
      const first = offset + at
      const whole = Math.min(blockLength, length - at)
      const takers = new Map<number, { tree: TreeHash; start: number }[]>([[whole, [this.#disk]]])
      for (const part of this.#parts) {
        const bytes = Math.min(whole, part.start + part.length - first)
        if (first < part.start || bytes <= 0) continue
        takers.set(bytes, [...(takers.get(bytes) ?? []), part])
      }
      for (const [bytes, trees] of takers) yield { at, length: bytes, first, takers: trees }
    }
  }
}

/** The digests of an image that is there, by reading it. @throws ImageError aborted E_ABORTED */
export async function digestsOf(
  image: BlockSource,
  capacity: number,
  parts: readonly DigestPart[],
  options: {
    readonly phase: Progress['phase']
    readonly signal?: AbortSignal
    readonly onProgress?: (progress: Progress) => void
  },
): Promise<Digests> {
  const { phase, signal, onProgress } = options
  const of = async (start: number, length: number, report: boolean): Promise<string> =>
    hexadecimal(
      await hashSource(new SliceSource(image, start, length), {
        algorithm: 'tree',

        signal,
        onProgress:
          report && onProgress !== undefined
            ? (progress: Progress): void => onProgress({ ...progress, phase })
            : undefined,
      }),
    )
  const disk = { start: 0, length: capacity, digest: await of(0, capacity, true) }
  const partitions = []
  for (const { number, start, length } of parts)
    partitions.push({ number, start, length, digest: await of(start, length, false) })
  return { algorithm: 'tree1', disk, partitions }
}

function hexadecimal(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
