import { stream, type CopyResult } from '../../engine/index.js'
import { usage } from '../../errors.js'
import type { Content } from './content.js'

/** What takes the bytes of an image in order: standard output. */
export interface OutputStream {
  /** Resolves when more may come; the bytes are reused afterwards. */
  readonly output: (bytes: Uint8Array) => Promise<void>
  readonly name?: string
  /** The file that it is, where it is one: it may be none of those that are read. */
  readonly file?: { readonly device: bigint; readonly inode: bigint }
}

/** A stream is gone when it is written. @throws ImageError usage E_STREAM */
export function checkStreamOptions(options: { readonly verify?: boolean; readonly parent?: string }): void {
  if (options.parent !== undefined)
    throw usage('E_STREAM', 'a target that is a stream cannot have a parent: it has no folder')
  if (options.verify === true)
    throw usage('E_STREAM', 'a target that is a stream cannot be verified: it is gone when it is written')
}

/** Writes an image to a stream. @throws ImageError usage E_STREAM; corrupt E_SOURCE_CHANGED; aborted E_ABORTED. */
export async function writeToStream(
  content: Content,
  { output }: OutputStream,
): Promise<CopyResult & { readonly capacity: number }> {
  const { format, shape, moving } = content
  let { capacity } = shape
  const moved = await stream({
    ...moving,
    output,
    layout: (store) => {
      const writer = format.driver.create(store, shape, format.options, {
        createFile: () => {
          throw usage('E_STREAM', 'an image of several files cannot go to a stream')
        },
      })
      ;({ capacity } = writer)
      return writer
    },
  })
  content.assertUnchanged()
  moving.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  return { capacity, ...moved }
}
