/** A kernel of a few bytes, which a boot loader starts as it starts Linux: it says so, and what it was given. */

/** What is shown on the serial port by a guest that was started. */
export const guestMarker = 'VDISK-GUEST-REACHED-ITS-ROOT'

const loadedAt = 0x100000
const setupSectors = 3
const paragraphs = 128
const versionPlace = 0x400

/**
 * For x86, by the 32-bit protocol (Linux, Documentation/arch/x86/boot.rst): prints the marker and its command line on
 * the first serial port, and halts.
 */
export function kernelFile(version: string): Buffer {
  const bytes = Buffer.alloc((setupSectors + 1) * 512 + paragraphs * 16)
  bytes[0x1f1] = setupSectors
  bytes.writeUInt32LE(paragraphs, 0x1f4)
  bytes.writeUInt16LE(0xaa55, 0x1fe)
  bytes.write('HdrS', 0x202, 'latin1')
  bytes.writeUInt16LE(0x206, 0x206)
  bytes.writeUInt16LE(versionPlace - 0x200, 0x20e)
  // Loaded at 1 MiB, and started there.
  bytes[0x211] = 1
  bytes.writeUInt32LE(loadedAt, 0x214)
  bytes.writeUInt32LE(0x37ffffff, 0x22c)
  bytes.writeUInt32LE(4096, 0x230)
  bytes.writeUInt32LE(255, 0x238)
  bytes.write(`${version} (builder@host) #1 SMP\0`, versionPlace, 'latin1')
  const start = (setupSectors + 1) * 512
  const text = 256
  Buffer.from(code(loadedAt + text)).copy(bytes, start)
  bytes.write(`\n${guestMarker} \0`, start + text, 'latin1')
  return bytes
}

/** @param text where the marker lies in memory. */
function code(text: number): number[] {
  const address = Buffer.alloc(4)
  address.writeUInt32LE(text)
  // lodsb; test al, al; jz behind; out dx, al; jmp here
  const print = [0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8]
  return [
    ...[0x8b, 0xbe, 0x28, 0x02, 0x00, 0x00], // mov edi, [esi + 0x228]: the command line
    ...[0xba, 0xf8, 0x03, 0x00, 0x00], // mov edx, 0x3f8
    ...[0xbe, ...address], // mov esi, text
    ...print,
    ...[0x89, 0xfe], // mov esi, edi
    ...print,
    ...[0xb0, 0x0a, 0xee], // mov al, 10; out dx, al
    ...[0xf4, 0xeb, 0xfd], // hlt, for ever
  ]
}
