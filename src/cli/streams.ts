import type { Stats } from 'node:fs'
import type { Duplex } from 'node:stream'
import { corrupt, systemCode, usage } from '../errors.js'
import fs from '../sys/host-fs.js'
import { joinedStream } from '../sys/joined-stream.js'
import { nextTurn } from '../sys/next-turn.js'
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

/** Bytes that are read of a disk at a time. */
const pieceLength = 1048576

/**
 * Standard input as the source of an image. @throws ImageError usage E_NOT_A_FILE; corrupt E_READ while it is read.
 */
export function standardInput(): { readonly name: string; readonly input: AsyncIterable<Uint8Array> } {
  const name = 'standard input'
  const stat = statOf(0)
  if (stat?.isDirectory() === true) throw usage('E_NOT_A_FILE', `${name} is a directory, not a disk image`)
  // What Node makes of a disk is an input without a byte.
  return { name, input: stat?.isBlockDevice() === true ? diskBytes(0, name) : process.stdin }
}

function statOf(descriptor: number): Stats | undefined {
  try {
    return fs.fstatSync(descriptor)
  } catch {
    // Closed by the caller: Node's own stream answers.
    return undefined
  }
}

/** The bytes of an open disk from where it stands. */
async function* diskBytes(descriptor: number, name: string): AsyncGenerator<Uint8Array> {
  for (let done = 0; ;) {
    const bytes = new Uint8Array(pieceLength)
    let count: number
    try {
      count = fs.readSync(descriptor, bytes, 0, bytes.length, null)
    } catch (cause) {
      const why = systemCode(cause) ?? String(cause)
      throw corrupt('E_READ', `${name}: cannot be read at byte ${done}: ${why}`, { cause, details: { position: done } })
    }
    if (count === 0) return
    yield bytes.subarray(0, count)
    done += count
    await nextTurn()
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
