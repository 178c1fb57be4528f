// The file: a header of 64 bytes, one entry of 32 bytes a block, then the blocks, each at a multiple of 512. Header and
// entries are lines of text, so that `head` shows them.

export const magic = 'HEXDISK1'
export const blockSize = 65536

/** The structures, declared with the library's fields. Numbers are hexadecimal digits. */
export function layoutOf({ ascii, struct }) {
  return {
    header: struct('big', 64, { magic: ascii(0, 8), capacity: ascii(9, 16), blockSize: ascii(26, 8) }),
    // `stored`: bytes of the block in the file; 0: the block reads as zero; less than a block: it is compressed.
    entry: struct('big', 32, { position: ascii(0, 16), stored: ascii(17, 8) }),
  }
}

/** A line of spaces of that many bytes. */
export function line(length) {
  const bytes = Buffer.alloc(length, ' ')
  bytes.write('\n', length - 1)
  return bytes
}

export const digits = (value, count) => value.toString(16).padStart(count, '0')
