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
