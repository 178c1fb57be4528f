import { corrupt, type ImageError, type Label } from '../../errors.js'
import type { FarFacts, FarReader } from '../far-thread.js'
import type { BlobDescriptor } from './manifest.js'
import { OrderedDigest } from './ordered-digest.js'

/** What is read at once to complete a digest, in bytes. */
const pieceLength = 4 * 1024 * 1024

/**
 * Part of an image in a registry, which is known by its digest: that is compared as soon as all of it was read. At the
 * end of what reads it, the little that was left out (at most a quarter) is read too.
 */
export class DigestedReader implements FarReader {
  readonly facts: FarFacts
  readonly #reader: FarReader
  readonly #descriptor: BlobDescriptor
  readonly #digest: OrderedDigest
  readonly #label: Label

  /**
   * @param head the beginning, as far as it was read already. @param more what else is known of it.
   * @throws ImageError corrupt E_OCI_DIGEST.
   */
  constructor(
    reader: FarReader,
    descriptor: BlobDescriptor,
    {
      label,
      head,
      ...more
    }: { readonly label: Label; readonly head: Uint8Array } & Pick<FarFacts, 'notes' | 'member' | 'note'>,
  ) {
    this.#reader = reader
    this.#descriptor = descriptor
    this.#label = label
    this.facts = { ...reader.facts, ...more, knowsChange: true }
    if (reader.facts.size !== descriptor.size)
      throw corrupt(
        'E_OCI_DIGEST',
        `${label}: the registry has ${reader.facts.size} bytes of ${descriptor.digest}, and its manifest ` +
          `says ${descriptor.size}`,
      )
    this.#digest = new OrderedDigest(descriptor.digest, descriptor.size)
    this.#take(0, head)
  }

  async read(offset: number, target: Uint8Array, isUrgent: boolean): Promise<void> {
    if (this.#digest.isWrong) throw this.#wrong()
    await this.#reader.read(offset, target, isUrgent)
    this.#take(offset, target)
  }

  /** Completes the digest. @throws ImageError corrupt E_OCI_DIGEST; as reading. */
  async changed(): Promise<undefined> {
    const gaps = this.#digest.gaps() ?? []
    const left = gaps.reduce((sum, { start, end }) => sum + end - start, 0)
    if (left > this.#descriptor.size / 4) return
    for (const { start, end } of gaps)
      for (let at = start; at < end; at += pieceLength)
        await this.read(at, new Uint8Array(Math.min(pieceLength, end - at)), false)
    if (this.#digest.isWrong) throw this.#wrong()
  }

  #take(offset: number, bytes: Uint8Array): void {
    if (this.#digest.take(offset, bytes)) throw this.#wrong()
  }

  #wrong(): ImageError {
    const { digest } = this.#descriptor
    return corrupt('E_OCI_DIGEST', `${this.#label}: the registry sends other bytes than those of ${digest}`, {
      hint: 'Nothing of it can be trusted: ask who keeps the registry, or fetch it from another one.',
    })
  }
}
