import { targetError, usage } from '../errors.js'

interface Stream {
  readonly isTTY?: boolean
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean
}

/**
 * Standard output as the target of an image.
 * @throws ImageError usage E_TERMINAL when it is a terminal; target E_PIPE when the reader goes away, E_WRITE.
 */
export function standardOutput(stream: Stream): {
  readonly name: string
  readonly output: (bytes: Uint8Array) => Promise<void>
} {
  if (stream.isTTY === true)
    throw usage('E_TERMINAL', 'the target is standard output, which is a terminal', {
      hint: 'Send it to a file or a program: vdisk convert disk.vhdx - --to qcow2 > disk.qcow2',
    })
  return {
    name: 'standard output',
    output: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (cause) => {
          if (cause === undefined || cause === null) resolve()
          else if ((cause as NodeJS.ErrnoException).code === 'EPIPE')
            reject(
              targetError('E_PIPE', 'the reader of standard output went away before the image was complete', { cause }),
            )
          else reject(targetError('E_WRITE', `standard output cannot be written: ${cause.message}`, { cause }))
        })
      }),
  }
}
