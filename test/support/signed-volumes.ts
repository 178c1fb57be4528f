/**
 * Volumes that hold nothing but the marks of a kind, as its own sources describe them: for `blkid -p` and for vdisk.
 * blkid looks for members of arrays on volumes of more than 1440 KiB only.
 */

const kibibyte = 1024
const mebibyte = 1048576

export interface SignedVolume {
  readonly name: string
  readonly bytes: Buffer
}

function volume(size: number, fill: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(size)
  fill(bytes)
  return bytes
}

const uuid = Buffer.from('0123456789abcdef1123456789abcdef', 'hex')

/** CRC-32 that begins with a number of its own, and is not inverted at its end; bit by bit. */
function plainCrc(bytes: Uint8Array, seed: number): number {
  let crc = seed
  for (const byte of bytes) {
    crc = (crc ^ byte) >>> 0
    for (let bit = 0; bit < 8; bit++) crc = crc % 2 === 1 ? ((crc >>> 1) ^ 0xedb88320) >>> 0 : crc >>> 1
  }
  return crc
}

function jfs(): Buffer {
  return volume(16 * mebibyte, (bytes) => {
    const at = 32 * kibibyte
    bytes.write('JFS1', at)
    bytes.writeUInt32LE(4096, at + 16)
    bytes.writeUInt16LE(12, at + 20)
    bytes.writeUInt16LE(3, at + 22)
    bytes.writeUInt32LE(512, at + 24)
    bytes.writeUInt16LE(9, at + 28)
    uuid.copy(bytes, at + 136)
    bytes.write('journal', at + 152)
  })
}

function reiser(mark: string, kibibytes: number): Buffer {
  return volume(mebibyte, (bytes) => {
    const at = kibibytes * kibibyte
    bytes.writeUInt32LE(200, at)
    bytes.writeUInt32LE(18 * 2, at + 12)
    bytes.writeUInt16LE(4096, at + 44)
    bytes.write(mark, at + 52)
    uuid.copy(bytes, at + 84)
    bytes.write('reiser', at + 100)
  })
}

function nilfs2(position: number): Buffer {
  return volume(2 * mebibyte, (bytes) => {
    const head = bytes.subarray(position, position + 1024)
    head.writeUInt32LE(2, 0)
    head.writeUInt16LE(0x3434, 6)
    head.writeUInt16LE(280, 8)
    head.writeUInt32LE(0x1234, 12)
    head.writeUInt32LE(2, 20)
    head.writeBigUInt64LE(BigInt(bytes.length), 32)
    uuid.copy(head, 152)
    head.write('logs', 168)
    head.writeUInt32LE(plainCrc(head.subarray(0, 280), 0x1234), 16)
  })
}

function ufs(version: 1 | 2, little: boolean, position: number): Buffer {
  return volume(mebibyte, (bytes) => {
    const word = (value: number, at: number): number =>
      little ? bytes.writeUInt32LE(value, position + at) : bytes.writeUInt32BE(value, position + at)
    word(2048, 52)
    word(100, 36)
    word(0x11223344, 144)
    word(0x55667788, 148)
    if (version === 2) bytes.write('bsd', position + 680)
    word(version === 2 ? 0x19540119 : 0x00011954, 1372)
  })
}

function minix(version: 1 | 2 | 3, little: boolean): Buffer {
  return volume(mebibyte, (bytes) => {
    const half = (value: number, at: number): number =>
      little ? bytes.writeUInt16LE(value, 1024 + at) : bytes.writeUInt16BE(value, 1024 + at)
    const word = (value: number, at: number): number =>
      little ? bytes.writeUInt32LE(value, 1024 + at) : bytes.writeUInt32BE(value, 1024 + at)
    if (version === 3) {
      word(320, 0)
      half(1, 6)
      half(1, 8)
      half(15, 10)
      word(1024, 20)
      half(0x4d5a, 24)
      half(1024, 28)
      return
    }
    half(320, 0)
    half(version === 1 ? 1024 : 0, 2)
    half(1, 4)
    half(1, 6)
    half(15, 8)
    half(version === 1 ? 0x138f : 0x2478, 16)
    half(1, 18)
    if (version === 2) word(1024, 20)
  })
}

function vxfs(little: boolean): Buffer {
  return volume(mebibyte, (bytes) => {
    const at = little ? 1024 : 8192
    const word = (value: number, offset: number): number =>
      little ? bytes.writeUInt32LE(value, at + offset) : bytes.writeUInt32BE(value, at + offset)
    word(0xa501fcf5, 0)
    word(4, 4)
    word(1024, 32)
  })
}

function romfs(): Buffer {
  return volume(mebibyte, (bytes) => {
    bytes.write('-rom1fs-')
    bytes.writeUInt32BE(1024, 8)
    bytes.write('rom', 16)
    let sum = 0
    for (let at = 0; at < 512; at += 4) sum = (sum + bytes.readUInt32BE(at)) % 2 ** 32
    bytes.writeUInt32BE((2 ** 32 - sum) % 2 ** 32, 12)
  })
}

function gfs(formats: readonly [number, number]): Buffer {
  return volume(32 * mebibyte, (bytes) => {
    const at = 64 * kibibyte
    bytes.writeUInt32BE(0x01161970, at)
    bytes.writeUInt32BE(formats[0], at + 24)
    bytes.writeUInt32BE(formats[1], at + 28)
    bytes.writeUInt32BE(4096, at + 36)
    bytes.write('cluster:disk', at + 160)
    uuid.copy(bytes, at + 256)
  })
}

function ocfs2(): Buffer {
  return volume(14_000 * kibibyte, (bytes) => {
    const at = 8192
    bytes.write('OCFSV2', at)
    bytes.writeUInt32LE(10, at + 20)
    bytes.writeUInt16LE(0, at + 192)
    bytes.writeUInt16LE(90, at + 194)
    bytes.writeUInt32LE(12, at + 248)
    bytes.writeUInt32LE(20, at + 252)
    bytes.write('oracle', at + 272)
    uuid.copy(bytes, at + 336)
  })
}

function ubifs(): Buffer {
  return volume(mebibyte, (bytes) => {
    bytes.writeUInt32LE(0x06101831, 0)
    bytes.writeUInt32LE(4096, 16)
    bytes.writeUInt8(6, 20)
    bytes.writeUInt32LE(4, 80)
    uuid.copy(bytes, 108)
    bytes.writeUInt32LE(plainCrc(bytes.subarray(8, 4096), 0xffffffff), 4)
  })
}

function ubi(): Buffer {
  return volume(4 * mebibyte, (bytes) => {
    bytes.write('UBI#')
    bytes.writeUInt8(1, 4)
    bytes.writeUInt32BE(123456789, 24)
    bytes.writeUInt32BE(plainCrc(bytes.subarray(0, 60), 0xffffffff), 60)
  })
}

function drbd(mark: string, device: number): Buffer {
  return volume(4 * mebibyte, (bytes) => {
    const at = bytes.length - 4096
    bytes.writeBigUInt64BE(0x1234567890abcdefn, at + device)
    bytes.write(mark, at + 60, 'hex')
    bytes.writeUInt32BE(4096, at + 80)
  })
}

function hpfs(): Buffer {
  return volume(mebibyte, (bytes) => {
    bytes.writeUInt32LE(0xf995e849, 0x2000)
    bytes.writeUInt8(2, 0x2008)
    bytes.writeUInt32LE(0xf9911849, 0x2200)
    bytes.writeUInt8(0x28, 38)
    bytes.writeUInt32LE(0x12abcdef, 39)
    bytes.write('OS2DISK    HPFS    ', 43)
    bytes.writeUInt16LE(0xaa55, 510)
  })
}

function befs(little: boolean, position: number): Buffer {
  return volume(2 * mebibyte, (bytes) => {
    const half = (value: number, at: number): number =>
      little ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at)
    const word = (value: number, at: number): number =>
      little ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at)
    const long = (value: bigint, at: number): number =>
      little ? bytes.writeBigUInt64LE(value, at) : bytes.writeBigUInt64BE(value, at)
    bytes.write('Haiku', position)
    word(0x42465331, position + 32)
    word(0x42494745, position + 36)
    word(2048, position + 40)
    word(11, position + 44)
    long(1000n, position + 48)
    word(0xdd121031, position + 68)
    word(13, position + 76)
    word(0x15b6830e, position + 112)
    half(8, position + 120)
    half(1, position + 122)
    const inode = 8 * 2048
    word(0x3bbe0ad9, inode)
    word(2048, inode + 64)
    const name = 'be:volume_id'
    word(0x554c4c47, inode + 232)
    half(name.length, inode + 236)
    half(8, inode + 238)
    bytes.write(name, inode + 240)
    long(0x1122334455667788n, inode + 240 + name.length + 3)
  })
}

function xfsLog(): Buffer {
  return volume(10 * mebibyte, (bytes) => {
    bytes.writeUInt32BE(0xfeedbabe, 1024)
    bytes.writeUInt32BE(2, 1024 + 8)
    bytes.writeUInt32BE(512, 1024 + 12)
    bytes.writeUInt32BE(1, 1024 + 300)
    uuid.copy(bytes, 1024 + 304)
  })
}

function vmfsVolume(): Buffer {
  return volume(4 * mebibyte, (bytes) => {
    bytes.writeUInt32LE(0xc001d00d, mebibyte)
    bytes.writeUInt32LE(5, mebibyte + 4)
    uuid.copy(bytes, mebibyte + 130)
    bytes.write('5f1e2d3c-11223344-5566-778899aabbcc', mebibyte + 512 + 20)
  })
}

/** A volume that its filesystem lies in, as all are on the disks of an ESX host. */
function vmfsInVolume(): Buffer {
  const bytes = vmfsVolume()
  bytes.writeUInt32LE(0x2fabf15e, 2 * mebibyte)
  bytes.writeUInt8(6, 2 * mebibyte + 8)
  Buffer.from(uuid)
    .reverse()
    .copy(bytes, 2 * mebibyte + 9)
  bytes.write('datastore1', 2 * mebibyte + 29)
  return bytes
}

/** A mark some sectors before the end. */
function atEnd(sectors: number, fill: (sector: Buffer, volume: Buffer) => void): Buffer {
  return volume(4 * mebibyte, (bytes) => {
    const at = bytes.length - sectors * 512
    fill(bytes.subarray(at, at + 512), bytes)
  })
}

export const raidVolumes = (): SignedVolume[] => [
  {
    name: 'DDF',
    bytes: atEnd(1, (sector, bytes) => {
      sector.writeUInt32BE(0xde11de11, 0)
      sector.write('Vendor  0123456789abcdef', 8)
      sector.write('01.02.00', 32)
      sector.writeBigUInt64BE(4096n, 96)
      sector.fill(0xff, 4, 8)
      sector.writeUInt32BE(plainCrc(sector, 0), 4)
      bytes.writeUInt32BE(0xde11de11, 4096 * 512)
    }),
  },
  { name: 'Intel', bytes: atEnd(2, (sector) => void sector.write('Intel Raid ISM Cfg Sig. 1.1.00')) },
  { name: 'LSI', bytes: atEnd(1, (sector) => void sector.write('$XIDE$')) },
  {
    name: 'VIA',
    bytes: atEnd(1, (sector) => {
      sector.writeUInt16LE(0xaa55, 0)
      sector.writeUInt8(2, 2)
      sector.writeUInt8(3, 20)
      sector.writeUInt8((0xaa + 0x55 + 2 + 3) % 256, 50)
    }),
  },
  {
    name: 'Silicon Image',
    bytes: atEnd(1, (sector) => {
      sector.writeUInt32LE(0x2f000000, 0x60)
      sector.writeUInt16LE(3, 0x108)
      sector.writeUInt16LE(2, 0x10a)
      let sum = 0
      for (let at = 0; at < 0x13e; at += 2) sum = (sum + sector.readUInt16LE(at)) % 65536
      sector.writeUInt16LE((65536 - sum) % 65536, 0x13e)
    }),
  },
  {
    name: 'NVIDIA',
    bytes: atEnd(2, (sector) => {
      sector.write('NVIDIA  ')
      sector.writeUInt32LE(30, 8)
      sector.writeUInt16LE(100, 16)
      let sum = 0
      for (let at = 0; at < 120; at += 4) sum = (sum + sector.readUInt32LE(at)) % 2 ** 32
      sector.writeUInt32LE((2 ** 32 - sum) % 2 ** 32, 12)
    }),
  },
  ...[63, 16, 3087].map((sectors) => ({
    name: `Promise, ${sectors} sectors before the end`,
    bytes: atEnd(sectors, (sector) => void sector.write('Promise Technology, Inc.')),
  })),
  { name: 'HighPoint 45x', bytes: atEnd(11, (sector) => void sector.writeUInt32LE(0x5a7816f3)) },
  {
    name: 'HighPoint 37x',
    bytes: volume(4 * mebibyte, (bytes) => void bytes.writeUInt32LE(0x5a7816f0, 4608 + 32)),
  },
  {
    name: 'Adaptec',
    bytes: atEnd(1, (sector) => {
      sector.writeUInt32BE(0x37fc4d1e, 0)
      sector.writeUInt8(8, 63)
      sector.writeUInt32BE(0x4450544d, 256)
    }),
  },
  {
    name: 'JMicron',
    bytes: atEnd(1, (sector) => {
      sector.write('JM')
      sector.writeUInt16LE(0x0102, 2)
      sector.writeUInt8(1, 0x30)
      let sum = 0
      for (let at = 0; at < 128; at += 2) sum = (sum + sector.readUInt16LE(at)) % 65536
      sector.writeUInt16LE((65536 - sum) % 65536, 4)
    }),
  },
]

export const filesystemVolumes = (): SignedVolume[] => [
  { name: 'JFS', bytes: jfs() },
  { name: 'ReiserFS 3.5', bytes: reiser('ReIsErFs', 8) },
  { name: 'ReiserFS 3.6', bytes: reiser('ReIsEr2Fs', 64) },
  { name: 'ReiserFS, other journal', bytes: reiser('ReIsEr3Fs', 64) },
  {
    name: 'Reiser4',
    bytes: volume(mebibyte, (bytes) => {
      bytes.write('ReIsEr4', 65536)
      bytes.writeUInt8(16, 65536 + 19)
      uuid.copy(bytes, 65536 + 20)
      bytes.write('four', 65536 + 36)
    }),
  },
  { name: 'NILFS2', bytes: nilfs2(1024) },
  { name: 'NILFS2, second superblock', bytes: nilfs2(2 * mebibyte - 4096) },
  { name: 'romfs', bytes: romfs() },
  { name: 'UBIFS', bytes: ubifs() },
  { name: 'GFS2', bytes: gfs([1801, 1900]) },
  { name: 'GFS', bytes: gfs([1309, 1401]) },
  { name: 'OCFS2', bytes: ocfs2() },
  { name: 'XFS log', bytes: xfsLog() },
  { name: 'UFS2 at 64 KiB', bytes: ufs(2, true, 65536) },
  { name: 'UFS1 at 8 KiB', bytes: ufs(1, true, 8192) },
  { name: 'UFS1, big-endian', bytes: ufs(1, false, 8192) },
  { name: 'Minix 1', bytes: minix(1, true) },
  { name: 'Minix 2', bytes: minix(2, true) },
  { name: 'Minix 3', bytes: minix(3, true) },
  { name: 'Minix 2, big-endian', bytes: minix(2, false) },
  { name: 'VxFS', bytes: vxfs(true) },
  { name: 'VxFS of HP-UX', bytes: vxfs(false) },
  { name: 'HPFS', bytes: hpfs() },
  { name: 'BeFS', bytes: befs(true, 512) },
  { name: 'BeFS, big-endian', bytes: befs(false, 0) },
  { name: 'BFS', bytes: volume(mebibyte, (bytes) => void bytes.writeUInt32LE(0x1badface)) },
  { name: 'UBI', bytes: ubi() },
  { name: 'DRBD 8', bytes: drbd('8374026b', 40) },
  { name: 'DRBD 8.4, not closed', bytes: drbd('8374026c', 40) },
  { name: 'DRBD 9', bytes: drbd('8374026d', 48) },
  {
    name: 'VDO',
    bytes: volume(mebibyte, (bytes) => {
      bytes.write('dmvdo001')
      uuid.copy(bytes, 40)
    }),
  },
  { name: 'VMFS volume', bytes: vmfsVolume() },
  { name: 'VMFS in its volume', bytes: vmfsInVolume() },
  ...['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001', 'SWAPSPACE2'].flatMap((mark) =>
    [4096, 65536].map((page) => ({ name: `${mark}, pages of ${page} bytes`, bytes: swap(mark, page) })),
  ),
  { name: 'TuxOnIce', bytes: tuxOnIce() },
]

function swap(mark: string, page: number): Buffer {
  return volume(mebibyte, (bytes) => {
    bytes.writeUInt32LE(1, 1024)
    bytes.writeUInt32LE(mebibyte / page - 1, 1028)
    uuid.copy(bytes, 1036)
    bytes.write('swap', 1052)
    bytes.write(mark, page - 10, 'latin1')
  })
}

/** A swap area with the memory of a system that TuxOnIce wrote: the mark of the area stays. */
export function tuxOnIce(): Buffer {
  const bytes = swap('SWAPSPACE2', 4096)
  Buffer.from('edc302e99856e50c', 'hex').copy(bytes)
  bytes.fill(0xdd, 8192)
  return bytes
}
