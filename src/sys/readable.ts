import type { HostPath } from '../errors.js'
import fs from './host-fs.js'

/** Names in a folder, in the system's order; none where it is not there, or this user may not list it. */
export function namesInFolder(folder: HostPath): string[] {
  try {
    return fs.readdirSync(folder)
  } catch {
    // What is below /proc, /sys and run folders goes away at any moment, and much of it is other users'.
    return []
  }
}

/** A whole file as text (UTF-8); undefined where it is not there, or this user may not read it. */
export function textOfFile(path: HostPath): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    // Another system, a kernel or container without it, or a process that has ended.
    return undefined
  }
}

/**
 * A whole file as text (UTF-8), also a pipe or device, whose size says nothing. @param most bytes that it may have.
 * @returns undefined where it has more. @throws the system's error where it cannot be read.
 */
export function boundedText(path: HostPath, most: number): string | undefined {
  const descriptor = fs.openSync(path, 'r')
  try {
    const pieces: Buffer[] = []
    for (let length = 0; ;) {
      const piece = Buffer.alloc(Math.min(most + 1 - length, 65536))
      const count = fs.readSync(descriptor, piece, 0, piece.length, null)
      if (count === 0) return Buffer.concat(pieces).toString('utf8')
      pieces.push(piece.subarray(0, count))
      length += count
      if (length > most) return undefined
    }
  } finally {
    fs.closeSync(descriptor)
  }
}
