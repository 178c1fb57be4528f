/** A disk as the server gives it out. Everything is synchronous, but reading may be left to other threads. */
export interface ServedDisk {
  /** What clients ask for; the empty name is the default export. */
  readonly name: string
  /** For people: which image it is. */
  readonly description: string
  /** Bytes. */
  readonly capacity: number
  readonly writable: boolean
  /** Whether `zero` is known to be faster than writing zeros. */
  readonly fastZero: boolean
  /**
   * Fills `target`, which lies in shared memory and is not empty; undefined when it is done at once. @throws ImageError
   * @param waiting other requests wait meanwhile.
   */
  read(offset: number, target: Uint8Array, waiting: boolean): Promise<void> | undefined
  /**
   * The run at `offset`, 0 < length ≤ limit: stored somewhere, or zero and not stored. For a `read` only what is known
   * without effort. @throws ImageError
   */
  runAt(offset: number, limit: number, purpose: 'read' | 'status'): { readonly zero: boolean; readonly length: number }
  /** @throws ImageError target. */
  write(offset: number, bytes: Uint8Array): void
  /** The range reads as zero afterwards, and gives its space back where that can be. @throws ImageError target. */
  zero(offset: number, length: number): void
  /** What was written until now outlives a power cut when it returns. @throws ImageError target. */
  flush(): void
}
