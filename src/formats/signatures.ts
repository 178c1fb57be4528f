/**
 * Formats that vdisk does not read (yet), and archives that often hold a disk: they are refused by name, since reading
 * one as a raw
 * disk gives garbage that looks like success. Every rule is strict enough that boot code, a filesystem or text at the
 * start of a real
 * raw disk does not meet it by chance; formats known by two bytes only (compress, .Z) are left out for that reason.
 */
interface Signature {
  readonly name: string
  /** Pure and total. `head` and `tail` are the file's first and last 64 KiB, `size` its bytes. */
  matches(head: Uint8Array, tail: Uint8Array, size: number): boolean
}

/** Whether `bytes` hold the given text (one byte a character) at a place; a negative place counts from the end. */
function holds(bytes: Uint8Array, place: number, text: string): boolean {
  const start = place < 0 ? bytes.length + place : place
  if (start < 0 || start + text.length > bytes.length) return false
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text.charCodeAt(index)) return false
  return true
}

function at(name: string, place: number, ...texts: readonly string[]): Signature {
  return { name, matches: (head) => texts.some((text) => holds(head, place, text)) }
}

function word(bytes: Uint8Array, place: number, little: boolean): number | undefined {
  return place < 0 || place + 4 > bytes.length
    ? undefined
    : new DataView(bytes.buffer, bytes.byteOffset).getUint32(place, little)
}

/** The first 4 KiB as text, for formats that are text. */
function text(head: Uint8Array): string {
  return Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 4096)).toString('latin1')
}

/** Whether the file ends in the trailer of a DMG: it begins with whatever its first piece was compressed to. */
export function endsAsDmg(tail: Uint8Array): boolean {
  return (
    holds(tail, -512, 'koly') &&
    word(tail, tail.length - 508, false) === 4 &&
    word(tail, tail.length - 504, false) === 512
  )
}

const foreign: readonly Signature[] = [
  at('an encrypted DMG or sparse image (Apple)', 0, 'encrcdsa'),
  { name: 'an encrypted DMG or sparse image (Apple)', matches: (_head, tail) => holds(tail, -8, 'cdsaencr') },
  at('an ASIF image (Apple)', 0, 'shdw\0'),
  { name: 'an NDIF image (Apple Disk Copy 6)', matches: isNdif },
  { name: 'a Disk Copy 4.2 image (Apple)', matches: isDiskCopy },
  { name: 'a COW image (User Mode Linux)', matches: (head) => holds(head, 0, 'OOOM') && (head[7] ?? 0) < 4 },
  at('a CHD image (MAME)', 0, 'MComprHD'),
  at('a CISO image', 0, 'CISO\0'),
  at('a DAA image (PowerISO)', 0, 'DAA\0\0\0'),
  at('an ISZ image (UltraISO)', 0, 'IsZ!'),
  { name: 'a UIF image (MagicISO)', matches: (_head, tail) => holds(tail, -64, 'bbis') },
  { name: 'an NRG image (Nero)', matches: (_head, tail) => holds(tail, -12, 'NER5') || holds(tail, -8, 'NERO') },
  { name: 'a CD image of whole sectors (BIN/CUE)', matches: isWholeSectors },
  at('the description of a CD image (Alcohol 120%, .mds)', 0, 'MEDIA DESCRIPTOR'),
  at(
    'a floppy image of an emulator',
    0,
    'HXCPICFE',
    'HXCHFEV3',
    'WOZ1\xff\n\r\n',
    'WOZ2\xff\n\r\n',
    'MV - CPC',
    'EXTENDED CPC DSK',
  ),
  { name: 'a floppy image of an emulator', matches: (head) => /^IMD \d\.\d\d/.test(text(head.subarray(0, 16))) },
  {
    name: 'a 2IMG image (Apple II)',
    matches: (head) => holds(head, 0, '2IMG') && (head[8] ?? 0) >= 52 && head[9] === 0,
  },
  at('a disk image of T98', 0, 'T98HDDIMAGE.R'),
  at('an XVD image (Xbox)', 512, 'msft-xvd'),
  at('an Android update payload', 0, 'CrAU\0\0\0\0'),
  at('an L01 evidence file (EnCase)', 0, 'LVF\x09\x0d\x0a\xff\0'),
  at('an AFF image', 0, 'AFF10\x0d\x0a\0'),
  at('a WIM archive (Windows)', 0, 'MSWIM\0\0\0', 'WLPWM\0\0\0'),
  at('a logical evidence file (EnCase 7)', 0, 'LEF2\x0d\x0a\x81\0'),
  at('an AD1 evidence file (FTK)', 0, 'ADSEGMENTEDFILE'),
  // Byte 3 is the way of compression, 0 to 9.
  {
    name: 'a Ghost image (Symantec)',
    matches: (head) => holds(head, 0, '\xfe\xef\x01') && (head[3] ?? 255) < 10,
  },
  at('an Acronis backup (.tib)', 0, '\xce\x24\xb9\xa2\x20\0\0\0'),
  { name: 'a Veeam backup', matches: isVeeam },
  at(
    'the saved state of a machine',
    0,
    'QEVM\0\0\0\x03',
    'LibvirtQemudSave',
    'LibvirtQemudPart',
    '\x7fVirtualBox SavedState',
  ),
  at('data encrypted by OpenSSL', 0, 'Salted__'),
  at('an encrypted archive (Apple)', 0, 'AEA1\0\0\0', 'AEA1\x01\0\0'),
  at('a partimage image', 0, 'PaRtImAgE-VoLuMe'),
  at('an fsarchiver archive', 0, 'FsArChV0', 'FsA0'),
  {
    name: 'an OVF description',
    matches: (head) => /^\s*<\?xml/.test(text(head)) && /<(?:\w+:)?Envelope[\s>]/.test(text(head)),
  },
  { name: 'a tar archive (an OVA, or one holding a disk)', matches: isTar },
  // Bits 5 to 7 of the flags are reserved, method 8 is the only one.
  {
    name: 'gzip compressed data',
    matches: (head) => holds(head, 0, '\x1f\x8b\x08') && head.length >= 18 && (head[3] ?? 255) < 32,
  },
  at('xz compressed data', 0, '\xfd7zXZ\0'),
  at('zstd compressed data', 0, '\x28\xb5\x2f\xfd'),
  {
    name: 'zstd compressed data',
    matches: (head) => (head[0] ?? 0) >= 0x50 && (head[0] ?? 0) < 0x60 && holds(head, 1, '\x2a\x4d\x18'),
  },
  { name: 'bzip2 compressed data', matches: (head) => /^BZh[1-9](?:1AY&SY|\x17rE8P\x90)/.test(text(head)) },
  at('lz4 compressed data', 0, '\x04\x22\x4d\x18', '\x02\x21\x4c\x18'),
  at('lzip compressed data', 0, 'LZIP\x01'),
  { name: 'LZMA compressed data', matches: isLzma },
  at('a zip archive', 0, 'PK\x03\x04', 'PK\x05\x06'),
  at('a piece of a split zip archive', 0, 'PK\x07\x08PK\x03\x04'),
  at('a 7z archive', 0, '7z\xbc\xaf\x27\x1c'),
  at('a rar archive', 0, 'Rar!\x1a\x07'),
]

/**
 * Marks of formats that have a driver: asked last, so that a version the driver does not claim is not read as raw
 * either.
 */
const claimed: readonly Signature[] = [
  // The signature alone is four bytes in the middle of what may be boot code; the version behind it decides.
  {
    name: 'a VDI image of an unknown version',
    matches: (head) => word(head, 64, true) === 0xbeda107f && (word(head, 68, true) ?? Infinity) < 0x00030000,
  },
  { name: 'a QCOW image of an unknown version', matches: (head) => holds(head, 0, 'QFI\xfb') },
  { name: 'a VHDX image', matches: (head) => holds(head, 0, 'vhdxfile') },
  {
    name: 'a VHD image',
    matches: (head, tail) =>
      holds(head, 0, 'conectix') || holds(tail, -512, 'conectix') || holds(tail, -511, 'conectix'),
  },
]

/** The name of the format not built yet that the bytes belong to, or undefined. Pure and total. */
export function foreignFormat(head: Uint8Array, tail: Uint8Array, size: number): string | undefined {
  return foreign.find((signature) => signature.matches(head, tail, size))?.name
}

/**
 * The name of a format of ours whose mark the bytes bear although no driver claimed them, or undefined. Pure and total.
 */
export function unclaimedFormat(head: Uint8Array, tail: Uint8Array, size: number): string | undefined {
  return claimed.find((signature) => signature.matches(head, tail, size))?.name
}

/** A header block of Veeam: a version, whether it is initialised, the digest's name (dissect.archive). */
function isVeeam(head: Uint8Array): boolean {
  const version = word(head, 0, true) ?? 0
  const length = word(head, 8, true) ?? 0
  if (version === 0 || version > 64 || (word(head, 4, true) ?? 2) > 1 || length === 0 || length > 64) return false
  return /^(?:md5|sha1|sha256|crc32|xxh64|xxh3)/.test(text(head.subarray(12, 12 + length)))
}

/**
 * A disk image of Disk Copy 6 keeps its map in a resource fork ("bcem"), which other systems have in a MacBinary,
 * AppleSingle or AppleDouble file.
 */
function isNdif(head: Uint8Array, _tail: Uint8Array, size: number): boolean {
  const isMacBinary =
    size >= 128 && head[0] === 0 && (head[1] ?? 0) > 0 && (head[1] ?? 64) < 64 && head[74] === 0 && head[82] === 0
  if (isMacBinary && holds(head, 69, 'ddsk')) return true
  const isApple = word(head, 0, false) === 0x00051600 || word(head, 0, false) === 0x00051607
  return isApple && Buffer.from(head.buffer, head.byteOffset, head.length).includes('bcem')
}

/** A name, the lengths of data and tags that make up the file, and a mark of two bytes. */
function isDiskCopy(head: Uint8Array, _tail: Uint8Array, size: number): boolean {
  const data = word(head, 64, false) ?? 0
  const tags = word(head, 68, false) ?? 0
  return (head[0] ?? 64) < 64 && head[82] === 1 && head[83] === 0 && data > 0 && 84 + data + tags === size
}

/** Each sector of a CD that was copied with all that is around its data begins with the same twelve bytes. */
function isWholeSectors(head: Uint8Array, _tail: Uint8Array, size: number): boolean {
  const mark = `\0${'\xff'.repeat(10)}\0`
  return holds(head, 0, mark) && (size <= 2448 || holds(head, 2352, mark) || holds(head, 2448, mark))
}

/** A tar header with a right checksum: the word "ustar" alone may stand in any text. */
function isTar(head: Uint8Array): boolean {
  if (head.length < 512 || !holds(head, 257, 'ustar')) return false
  const stored = parseInt(Buffer.from(head.buffer, head.byteOffset + 148, 8).toString('latin1'), 8)
  let sum = 0
  for (let index = 0; index < 512; index++) sum += index >= 148 && index < 156 ? 32 : (head[index] ?? 0)
  return sum === stored
}

/**
 * The old .lzma header has no magic: usual properties, a dictionary of 2^n or 3·2^n bytes, and a length that is unknown
 * or sane.
 */
function isLzma(head: Uint8Array): boolean {
  const dictionary = word(head, 1, true)
  const low = word(head, 5, true)
  const high = word(head, 9, true)
  if (head[0] !== 0x5d || dictionary === undefined || low === undefined || high === undefined || head[13] !== 0)
    return false
  const bits = Math.log2(dictionary)
  const usual = dictionary >= 4096 && (Number.isInteger(bits) || Number.isInteger(Math.log2(dictionary / 3)))
  return usual && ((low === 0xffffffff && high === 0xffffffff) || (high < 256 && low + high > 0))
}
