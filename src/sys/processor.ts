import fs from './host-fs.js'

/** Where what the first processor can do stands among what is known of all, in bytes. */
const processorLength = 8192

/** Whether the processor has instructions for AES, as far as that is known. */
export function hasAes(): boolean {
  if (process.platform === 'darwin') return true
  if (process.platform !== 'linux') return false
  try {
    const descriptor = fs.openSync('/proc/cpuinfo', 'r')
    try {
      const bytes = Buffer.alloc(processorLength)
      const count = fs.readSync(descriptor, bytes, 0, bytes.length, 0)
      return /^(?:flags|Features)\s*:.* aes(?: |$)/m.test(bytes.toString('latin1', 0, count))
    } finally {
      fs.closeSync(descriptor)
    }
  } catch {
    // It is not known.
    return false
  }
}
