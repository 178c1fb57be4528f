import type { BlockSource } from '../../block/types.js'
import { compareSources, hashSource, type Progress } from '../../engine/index.js'
import { ImageError, isImageError } from '../../errors.js'

/** What was written, and what to do when it is not what it should be. For messages. */
export interface Written {
  /** `the new image`, `/dev/sdb`. */
  readonly name: string
  readonly mismatchHint?: string
  readonly unreadableHint?: string
  /**
   * Makes sure that the source is what it was: asked before a difference is called a fault of what was written.
   * @throws ImageError corrupt E_SOURCE_CHANGED.
   */
  readonly unchanged?: () => void
}

export interface ProofOptions {
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/**
 * Reads what was written and compares every byte with what it was made of.
 * @throws ImageError mismatch E_MISMATCH, E_VERIFY when it cannot be read; aborted E_ABORTED.
 */
export async function proveEqual(
  expected: BlockSource,
  found: BlockSource,
  written: Written,
  { threads, signal, onProgress }: ProofOptions,
): Promise<void> {
  await readingBack(written, async () => {
    const { equal, offset } = await compareSources(expected, found, { threads, signal, onProgress })
    if (!equal) throw mismatch(written, offset ?? 0)
  })
}

/**
 * Reads what was written and compares its tree digest (docs/tree-hash.md, hexadecimal) with that of what was read. For
 * sources that change, or are slow to read twice.
 * @throws ImageError as {@link proveEqual}.
 */
export async function proveDigest(
  expected: string,
  found: BlockSource,
  written: Written,
  { threads, signal, onProgress }: ProofOptions,
): Promise<void> {
  await readingBack(written, async () => {
    const digest = await hashSource(found, {
      algorithm: 'tree',
      threads,
      signal,
      onProgress:
        onProgress === undefined
          ? undefined
          : (progress: Progress): void => onProgress({ phase: 'verify', done: progress.done, total: progress.total }),
    })
    if (Buffer.from(digest).toString('hex') !== expected) throw mismatch(written)
  })
}

/** What was written and what should be there differ; `offset`: where, when it is known. */
export function mismatch({ name, mismatchHint }: Written, offset?: number): ImageError {
  return new ImageError(
    'mismatch',
    'E_MISMATCH',
    `${name} differs from its source${offset === undefined ? '' : ` at offset ${offset}`}, when it is read back`,
    { hint: mismatchHint, details: offset === undefined ? undefined : { offset } },
  )
}

/** Whatever else goes wrong while reading back proves nothing: it is a failed verification too. */
export async function readingBack(
  { name, unreadableHint, unchanged }: Written,
  work: () => Promise<void> | void,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    unchanged?.()
    if (isImageError(error) && (error.kind === 'mismatch' || error.kind === 'aborted')) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new ImageError('mismatch', 'E_VERIFY', `${name} cannot be read back: ${why}`, {
      cause: error,
      hint: unreadableHint,
    })
  }
}
