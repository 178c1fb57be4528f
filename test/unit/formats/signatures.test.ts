import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import test from 'node:test'
import zlib from 'node:zlib'
import { foreignFormat, unclaimedFormat } from '../../../src/formats/signatures.js'

function name(bytes: Uint8Array): string | undefined {
  return foreignFormat(bytes.subarray(0, 65536), bytes.subarray(Math.max(0, bytes.length - 65536)), bytes.length)
}

/** A file of the given length with texts at places; a negative place counts from the end. */
function file(pieces: readonly (readonly [number, string | Uint8Array])[], length = 100000): Uint8Array {
  const bytes = Buffer.alloc(length)
  for (const [place, piece] of pieces)
    bytes.set(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece, place < 0 ? length + place : place)
  return bytes
}

const u32 = (value: number, little = true): Uint8Array => {
  const bytes = Buffer.alloc(4)
  if (little) bytes.writeUInt32LE(value)
  else bytes.writeUInt32BE(value)
  return bytes
}

/** A floppy of Disk Copy 4.2: a name, lengths of data and tags, a mark. */
function diskCopy(): Uint8Array {
  const bytes = Buffer.alloc(84 + 409600)
  bytes.write('\x04disk')
  bytes.writeUInt32BE(409600, 64)
  bytes.writeUInt16BE(0x0100, 82)
  return bytes
}

/** A CD with all that is around its data: each sector begins with twelve bytes that are always the same. */
function cdSectors(length: number, count: number): Uint8Array {
  const bytes = Buffer.alloc(length * count, 7)
  for (let start = 0; start < bytes.length; start += length)
    bytes.set([0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0], start)
  return bytes
}

test('formats that are not built are known by name', () => {
  const cases: [RegExp, Uint8Array][] = [
    [/encrypted DMG/, file([[0, 'encrcdsa']])],
    [/encrypted DMG/, file([[-8, 'cdsaencr']])],
    [
      /NDIF/,
      file([
        [0, '\0\x04disk'],
        [65, 'rohdddsk'],
      ]),
    ],
    [
      /NDIF/,
      file([
        [0, '\0\x05\x16\x07'],
        [300, 'bcem'],
      ]),
    ],
    [/Disk Copy 4\.2/, diskCopy()],
    [/COW/, file([[0, 'OOOM\0\0\0\x02']])],
    [/CHD/, file([[0, 'MComprHD']])],
    [/CISO/, file([[0, 'CISO\0']])],
    [/DAA/, file([[0, 'DAA\0\0\0']])],
    [/CD image of whole/, cdSectors(2352, 40)],
    [/CD image of whole/, cdSectors(2448, 40)],
    [/CD image of whole/, cdSectors(2352, 1)],
    [/Alcohol/, file([[0, 'MEDIA DESCRIPTOR\x01\x03']])],
    [/floppy/, file([[0, 'HXCPICFE\0']])],
    [/floppy/, file([[0, 'WOZ2\xff\n\r\n']])],
    [/floppy/, file([[0, 'IMD 1.18: 01/02/2003']])],
    [/2IMG/, file([[0, '2IMGXGS!\x40\0\x01\0']])],
    [/T98/, file([[0, 'T98HDDIMAGE.R0\0']])],
    [/saved state/, file([[0, 'QEVM\0\0\0\x03']])],
    [/saved state/, file([[0, 'LibvirtQemudSave\x02']])],
    [/saved state/, file([[0, '\x7fVirtualBox SavedState V2.0\n']])],
    [/OpenSSL/, file([[0, 'Salted__abcdefgh']])],
    [/encrypted archive/, file([[0, 'AEA1\x01\0\0']])],
    [/split zip/, file([[0, 'PK\x07\x08PK\x03\x04']])],
    [/ISZ/, file([[0, 'IsZ!']])],
    [/UIF/, file([[-64, 'bbis']])],
    [/NRG/, file([[-12, 'NER5']])],
    [/NRG/, file([[-8, 'NERO']])],
    [/XVD/, file([[512, 'msft-xvd']])],
    [/Android update/, file([[0, 'CrAU\0\0\0\0\0\0\0\x02']])],
    [/ASIF/, file([[0, 'shdw\0\0\0\x01']])],
    [/AFF/, file([[0, 'AFF10\x0d\x0a\0']])],
    [/WIM/, file([[0, 'MSWIM\0\0\0']])],
    [/OVF/, Buffer.from('<?xml version="1.0"?>\n<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">')],
    [/gzip/, zlib.gzipSync(randomBytes(1000))],
    [/xz/, file([[0, '\xfd7zXZ\0\0\x04']])],
    [/zstd/, file([[0, '\x28\xb5\x2f\xfd\x04']])],
    [/zstd/, file([[0, '\x5e\x2a\x4d\x18']])],
    [/bzip2/, Buffer.from('BZh91AY&SY....', 'latin1')],
    [/lz4/, file([[0, '\x04\x22\x4d\x18\x64']])],
    [/LZMA/, file([[0, '\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0']])],
    [/zip/, file([[0, 'PK\x03\x04\x14']])],
    [/7z/, file([[0, '7z\xbc\xaf\x27\x1c']])],
    [/rar/, file([[0, 'Rar!\x1a\x07\x01\0']])],
    [/tar/, tarHeader()],
  ]
  for (const [expected, bytes] of cases) assert.match(name(bytes) ?? 'nothing', expected)
  assert.match(unclaimedFormat(file([[0, 'QFI\xfb\0\0\0\x09']]), new Uint8Array(), 1) ?? '', /QCOW/)
  const vdi = file([
    [64, u32(0xbeda107f)],
    [68, u32(0x00020000)],
  ])
  assert.match(unclaimedFormat(vdi, vdi, vdi.length) ?? '', /VDI image of an unknown version/)
})

function tarHeader(): Uint8Array {
  const bytes = Buffer.alloc(10240)
  bytes.write('disk.ovf')
  bytes.write('ustar\0', 257)
  let sum = 8 * 32
  for (const byte of bytes.subarray(0, 512)) sum += byte
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

test('real raw disks are taken for nothing else', () => {
  const bootCode = [0xeb, 0x63, 0x90, 0x10, 0x8e, 0xd0]
  const cases: [string, Uint8Array][] = [
    ['zeros', file([])],
    ['all ones', Buffer.alloc(100000, 255)],
    ['noise', randomBytes(100000)],
    [
      'boot code',
      file([
        [0, Uint8Array.from(bootCode)],
        [510, '\x55\xaa'],
      ]),
    ],
    ['text', Buffer.from('# Disk usage report\nof today\n'.repeat(5000))],
    ['a shell script', Buffer.from('#!/bin/sh\necho hello\n'.repeat(500))],
    ['text about ustar', Buffer.from(`${'x'.repeat(257)}ustar${'y'.repeat(1000)}`)],
    [
      'boot code with the VDI signature in it',
      file([
        [0, Uint8Array.from(bootCode)],
        [64, u32(0xbeda107f)],
        [68, u32(0x8ed0bc00)],
        [510, '\x55\xaa'],
      ]),
    ],
    ['BZh as text', Buffer.from('BZh is how bzip2 begins')],
    ['ten bytes', Buffer.from('not a dmg!')],
    ['koly as text at the end', file([[-512, 'koly']])],
    ['one byte', Uint8Array.of(0x1f)],
    ['nothing', new Uint8Array()],
    ['XML of something else', Buffer.from('<?xml version="1.0"?><disk/>')],
  ]
  for (const [what, bytes] of cases) {
    assert.equal(name(bytes), undefined, what)
    assert.equal(unclaimedFormat(bytes, bytes, bytes.length), undefined, what)
  }
})
