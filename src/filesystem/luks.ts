import { createHash } from 'node:crypto'
import { ascii, bytes, struct, u16, u32, u64 } from '../binary/struct.js'
import type { BlockSource, Fact } from '../block/types.js'
import { utf8Label } from './labels.js'
import type { Filesystem, FilesystemFamily, FilesystemIssue } from './types.js'
import { bytesAt } from './volume-reader.js'

/** LUKS On-Disk Format Specification 1.2.3, section 3. */
const luks1 = struct('big', 592, {
  magic: bytes(0, 6),
  version: u16(6),
  cipher: ascii(8, 32),
  mode: ascii(40, 32),
  hash: ascii(72, 32),
  payloadOffset: u32(104),
  keyBytes: u32(108),
  uuid: ascii(168, 40),
})
const slotCount = 8
const slotStart = 208
const slotSize = 48
const activeSlot = 0x00ac71f3
/** LUKS2 On-Disk Format Specification 1.1.1, section 2.1. The area of JSON text follows it. */
const luks2 = struct('big', 4096, {
  magic: bytes(0, 6),
  version: u16(6),
  headerSize: u64(8),
  sequence: u64(16),
  label: bytes(24, 48),
  algorithm: ascii(72, 32),
  uuid: ascii(168, 40),
  position: u64(256),
  checksum: bytes(448, 64),
})
const magics = { first: '4c554b53babe', second: '534b554cbabe' }
const longestHeader = 4 * 1024 * 1024

/** Encrypted volumes of Linux, version 1 and 2. */
export const luks: FilesystemFamily = {
  id: 'luks',
  identify: (volume) => {
    const head = bytesAt(volume, 0, luks1.size)
    if (head === undefined) return []
    const { magic, version } = luks1.read(head)
    if (Buffer.from(magic).toString('hex') !== magics.first) return []
    if (version === 1) return [version1(head)]
    return version === 2 ? version2(volume) : []
  },
}

function version1(head: Uint8Array): Filesystem {
  const { cipher, mode, hash, payloadOffset, keyBytes, uuid } = luks1.read(head)
  const slot = struct('big', slotSize, { active: u32(0) })
  const active = Array.from(
    { length: slotCount },
    (_, index) => slot.read(head, slotStart + index * slotSize).active,
  ).filter((state) => state === activeSlot).length
  return {
    type: 'crypto_LUKS',
    title: 'LUKS 1',
    kind: 'container',
    version: '1',
    state: 'unknown',
    issues: [],
    ...(uuid === '' ? {} : { uuid }),
    facts: [
      { name: 'cipher', value: `${cipher}-${mode}` },
      { name: 'keySize', value: keyBytes, unit: 'bytes' },
      { name: 'hash', value: hash },
      { name: 'payloadOffset', value: payloadOffset * 512, unit: 'bytes' },
      { name: 'keySlots', value: active, unit: 'count' },
    ],
  }
}

function version2(volume: BlockSource): Filesystem[] {
  const head = bytesAt(volume, 0, luks2.size)
  if (head === undefined) return []
  const { headerSize, sequence, label, algorithm, uuid } = luks2.read(head)
  const text = utf8Label(label)
  const issues: FilesystemIssue[] = []
  const size = Number(headerSize)
  const whole = size > luks2.size && size <= longestHeader ? bytesAt(volume, 0, size) : undefined
  if (whole === undefined)
    issues.push({
      code: 'E_FS_CORRUPT',
      severity: 'error',
      message: `the LUKS 2 header is said to have ${headerSize} bytes`,
    })
  else if (!checksumHolds(whole))
    issues.push({
      code: 'E_FS_CHECKSUM',
      severity: 'error',
      message: 'the checksum of the first LUKS 2 header is wrong; there is a second one behind it',
    })
  else if (!isSecond(bytesAt(volume, size, luks2.size)))
    issues.push({ code: 'W_FS_COPY', severity: 'warning', message: `there is no second LUKS 2 header at byte ${size}` })
  return [
    {
      type: 'crypto_LUKS',
      title: 'LUKS 2',
      kind: 'container',
      version: '2',
      state: 'unknown',
      issues,
      label: text,
      ...(uuid === '' ? {} : { uuid }),
      facts: [
        { name: 'headerSize', value: headerSize, unit: 'bytes' },
        { name: 'sequence', value: sequence },
        { name: 'checksumAlgorithm', value: algorithm },
        ...(whole === undefined ? [] : encryption(whole.subarray(luks2.size))),
      ],
    },
  ]
}

function isSecond(head: Uint8Array | undefined): boolean {
  return head !== undefined && Buffer.from(luks2.read(head).magic).toString('hex') === magics.second
}

/** Over the header with this field zero, and the text. Other algorithms are not checked. */
function checksumHolds(whole: Uint8Array): boolean {
  const { algorithm, checksum } = luks2.read(whole)
  if (algorithm !== 'sha256') return true
  const digest = createHash('sha256')
    .update(luks2.without('checksum', whole, whole.length))
    .digest()
  return digest.equals(checksum.subarray(0, digest.length))
}

/** What the JSON text says of the cipher. It is anybody's text: each step may find something else. */
function encryption(area: Uint8Array): Fact[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(area.subarray(0, Math.max(0, area.indexOf(0)))).toString('utf8'))
  } catch {
    return []
  }
  const [segment] = Object.values(member(parsed, 'segments') ?? {}) as unknown[]
  const cipher = member(segment, 'encryption')
  const sector = member(segment, 'sector_size')
  const slots = member(parsed, 'keyslots')
  return [
    ...(typeof cipher === 'string' ? [{ name: 'cipher', value: cipher }] : []),
    ...(typeof sector === 'number' ? [{ name: 'sectorSize', value: sector, unit: 'bytes' } as const] : []),
    ...(slots === undefined ? [] : [{ name: 'keySlots', value: Object.keys(slots).length, unit: 'count' } as const]),
  ]
}

function member(value: unknown, name: string): object | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Record<string, object>)[name]
}
