import { isZero } from '../binary/zero.js'
import type { FileTree } from './types.js'

/** Marks with which Windows says that the system has woken up. It may also fill the first page with zeros. */
const awake = ['wake']
const markLength = 4

/**
 * Whether a system of Windows sleeps in a volume: `hiberfil.sys` begins with `HIBR`, or with `RSTR` while it wakes up,
 * or with something that is not known. Only a file that begins with zeros or `WAKE` holds no sleeping system.
 * @throws ImageError corrupt E_FS_CORRUPT where the root folder or the file cannot be read.
 */
export function isWindowsAsleep(tree: FileTree): boolean {
  const file = tree.find(tree.root, 'hiberfil.sys')
  if (file?.kind !== 'file' || file.size < markLength) return false
  const head = new Uint8Array(markLength)
  tree.read(file, 0, head)
  return !isZero(head) && !awake.includes(Buffer.from(head).toString('latin1').toLowerCase())
}
