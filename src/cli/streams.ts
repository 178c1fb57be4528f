import type { Duplex } from 'node:stream'
import { usage } from '../errors.js'
import { joinedStream } from '../sys/joined-stream.js'
import { fileOf, outputError } from './outputs.js'

interface Stream {
  readonly isTTY?: boolean
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean
}

/**
 * Standard output as the target of an image.
 * @throws ImageError usage E_TERMINAL when it is a terminal; target E_PIPE when the reader goes away,
 * E_NO_SPACE, E_WRITE.
 */
export function standardOutput(stream: Stream): {
  readonly name: string
  readonly output: (bytes: Uint8Array) => Promise<void>
  readonly file?: { readonly device: bigint; readonly inode: bigint }
} {
  if (stream.isTTY === true)
    throw usage('E_TERMINAL', 'the target is standard output, which is a terminal', {
      hint: 'Send it to a file or a program: vdisk convert disk.vhdx - --to qcow2 > disk.qcow2',
    })
  return {
    name: 'standard output',
    file: fileOf(1),
    output: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (cause) => {
          if (cause === undefined || cause === null) resolve()
          else reject(outputError(cause, 'standard output'))
        })
      }),
  }
}

export { percentDecoded } from '../sys/percent.js'

/** Standard input and output together, for a protocol. @throws ImageError usage E_TERMINAL. */
export function standardStream(): Duplex {
  if (process.stdin.isTTY || process.stdout.isTTY)
    throw usage('E_TERMINAL', 'standard input and output are a terminal, and a client has to be at their other end', {
      hint: 'Clients find a server at the socket that it prints without --stdio.',
    })
  return joinedStream(process.stdin, process.stdout)
}
