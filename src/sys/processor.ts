import { textOfFile } from './readable.js'

/** Whether the processor has instructions for AES, as far as that is known. */
export function hasAes(): boolean {
  if (process.platform === 'darwin') return true
  return /^(?:flags|Features)\s*:.* aes(?: |$)/m.test(textOfFile('/proc/cpuinfo') ?? '')
}
