import { printable, usage } from '../../errors.js'
import { isPlainText } from '../../sys/host-fs.js'

/** What the address of a socket has room for, in bytes. */
export const longestSocketPath = 107

/**
 * Node gives the system a socket's path as text: what is not UTF-8 would be another name.
 * @throws ImageError usage E_NAME.
 */
export function checkSocketPath(path: string): void {
  if (isPlainText(path)) return
  throw usage('E_NAME', `${printable(path)} cannot be the path of a socket: it is not UTF-8`, {
    hint: 'Choose another place, for example --socket /tmp/vdisk.sock.',
  })
}
