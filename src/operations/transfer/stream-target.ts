import type { BigIntStats } from 'node:fs'
import { printable, usage } from '../../errors.js'
import fs from '../../sys/host-fs.js'

const hint =
  'Name a file. vdisk convert and vdisk partition extract write an image to standard output when the target is -.'

/** Names of what a process has open already. */
const ownDescriptor = /^\/dev\/(?:stdin|stdout|stderr|fd\/\d+)$|^\/proc\/(?:self|thread-self|\d+)\/fd\/\d+$/

/**
 * @throws ImageError usage E_STREAM where the name of a target means a stream: an image is made under another name
 * first, and gets its own when it is whole.
 */
export function refuseStreamName(path: string): void {
  if (path === '-')
    throw usage('E_STREAM', 'this command writes no image to standard output', {
      hint: `${hint} A file of that name is ./-`,
    })
  if (ownDescriptor.test(path)) throw usage('E_STREAM', `the target ${printable(path)} is a stream`, { hint })
}

/** The same for a file that standard output goes to, under whatever name. */
export function refuseOutputFile(path: string, stat: BigIntStats): void {
  if (!stat.isFile()) return
  const output = outputOf()
  if (output?.dev === stat.dev && output.ino === stat.ino)
    throw usage('E_STREAM', `the target ${printable(path)} is the file that standard output goes to`, { hint })
}

function outputOf(): BigIntStats | undefined {
  try {
    return fs.fstatSync(1, { bigint: true })
  } catch {
    // It may be closed.
    return undefined
  }
}
