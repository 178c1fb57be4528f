import { hex32 } from '../../../binary/hex.js'
import { corrupt, printable, unsupported } from '../../../errors.js'
import { hostName } from '../../../sys/host-fs.js'

/** How much of a descriptor is read, in bytes, and how many extents it may list. */
export const maximumDescriptor = 1024 * 1024
const maximumExtents = 4096
/** Sectors; no disk is larger than 2^52 bytes. */
const maximumSectors = 2 ** 43

export type ExtentType = 'FLAT' | 'SPARSE' | 'ZERO' | 'VMFS' | 'VMFSSPARSE' | 'VMFSRDM' | 'VMFSRAW' | 'SESPARSE'
const extentTypes: readonly string[] = [
  'FLAT',
  'SPARSE',
  'ZERO',
  'VMFS',
  'VMFSSPARSE',
  'VMFSRDM',
  'VMFSRAW',
  'SESPARSE',
] satisfies ExtentType[]

/** One extent line. */
export interface ExtentLine {
  readonly access: 'RW' | 'RDONLY' | 'NOACCESS'
  /** Length in the disk, in sectors. */
  readonly sectors: number
  readonly type: ExtentType
  /** What the file may be called, most likely first: as the system has names; none for ZERO. */
  readonly names: readonly string[]
  /** Where the extent begins in its file, in sectors. */
  readonly offset: number
  /** Where the line stands in the descriptor, from 1 on. */
  readonly line: number
}

/** A descriptor, understood. Keys are in lower case. */
export interface Descriptor {
  readonly version: number
  /** As it stands; in lower case in {@link kind}. */
  readonly createType: string
  readonly kind: string
  /** 32-bit words; undefined where they are missing or no numbers. */
  readonly cid: number | undefined
  readonly parentCid: number | undefined
  /** What the parent may be called, most likely first. */
  readonly parentNames: readonly string[]
  readonly extents: readonly ExtentLine[]
  readonly values: ReadonlyMap<string, string>
  readonly ddb: ReadonlyMap<string, string>
  /** The text as far as it goes, one byte a character. */
  readonly text: string
  /** Bytes of the text: up to a NUL, or the end of its space. */
  readonly length: number
  /** Lines that are nothing that is known. */
  readonly unknown: readonly string[]
}

/** Content id of a disk that has no parent. */
export const noParent = 0xffffffff

/** A content id as text, as all comparisons have it: eight hexadecimal digits. */
export function cidText(cid: number): string {
  return hex32(cid)
}

/** Whether bytes begin as a descriptor does. */
export function looksLikeDescriptor(head: Uint8Array): 'certain' | 'possible' | 'no' {
  const text = latin1(head.subarray(0, 65536)).replace(/^\xef\xbb\xbf/, '')
  if (/^\s*# *disk *descriptor *file\b/i.test(text)) return 'certain'
  const first = text.split(/[\r\n]+/, 64).find((line) => line.trim() !== '' && !/^\s*#/.test(line))
  return first !== undefined && /^\s*version\s*=\s*"?\d/i.test(first) && /^\s*createtype\s*=/im.test(text)
    ? 'possible'
    : 'no'
}

/**
 * Reads a descriptor (specification sheet, section 2). @param name what messages call its file.
 * @throws ImageError corrupt E_DESCRIPTOR, naming the line; E_DISK_SIZE.
 */
export function parseDescriptor(bytes: Uint8Array, name: string): Descriptor {
  const end = bytes.indexOf(0)
  const length = end < 0 ? bytes.length : end
  const text = latin1(bytes.subarray(0, length))
  const values = new Map<string, string>()
  const ddb = new Map<string, string>()
  const lines: { readonly match: RegExpExecArray; readonly line: number }[] = []
  const unknown: string[] = []
  let line = 0
  for (const each of text.replace(/^\xef\xbb\xbf/, '').split(/\r\n|\n|\r/)) {
    line++
    const content = each.trim()
    if (content === '' || content.startsWith('#')) continue
    const extent = /^(RW|RDONLY|NOACCESS)[ \t]+(\S+)(?:[ \t]+(\S+)(.*))?$/i.exec(content)
    if (extent !== null) {
      if (lines.length === maximumExtents)
        throw corrupt('E_DESCRIPTOR', `${name}: its descriptor lists more than ${maximumExtents} extents`)
      lines.push({ match: extent, line })
      continue
    }
    const [, key, quoted, plain] = /^([^=\s]+(?:[ \t]+[^=\s]+)*)\s*=\s*(?:"(.*)"|(.*))$/.exec(content) ?? []
    if (key === undefined) {
      if (unknown.length < 100) unknown.push(content)
      continue
    }
    const value = (quoted ?? plain ?? '').trim()
    const lower = key.toLowerCase()
    // Of a key that comes twice the first counts.
    if (lower.startsWith('ddb.')) {
      if (!ddb.has(lower.slice(4))) ddb.set(lower.slice(4), value)
    } else if (!values.has(lower)) values.set(lower, value)
  }
  const decode = namesOf(values.get('encoding') ?? ddb.get('encoding'))
  const createType = values.get('createtype') ?? ''
  const hint = values.get('parentfilenamehint')
  return {
    version: Number(values.get('version') ?? '1'),
    createType,
    kind: createType.toLowerCase(),
    cid: parseCid(values.get('cid')),
    parentCid: parseCid(values.get('parentcid')),
    parentNames: hint === undefined || hint === '' ? [] : decode(hint),
    extents: lines.map(({ match, line: at }) => extentLine(match, at, decode, name)),
    values,
    ddb,
    text,
    length,
    unknown,
  }
}

function extentLine(
  [, access = '', count = '', type = '', rest = '']: RegExpExecArray,
  line: number,
  decode: (name: string) => string[],
  name: string,
): ExtentLine {
  const bad = (what: string): Error =>
    corrupt('E_DESCRIPTOR', `${name}: line ${line} of its descriptor is an extent ${what}`, { details: { line } })
  const sectors = sectorCount(count)
  if (!(sectors <= maximumSectors)) throw bad(`of "${printable(count)}" sectors`)
  const kind = type.toUpperCase()
  if (!extentTypes.includes(kind)) throw bad(`of the unknown type "${printable(type)}"`)
  const [, file, offset = '0', others] = /^\s+"([^"]*)"(?:\s+(\S+)(.*))?$/.exec(rest) ?? []
  if (kind !== 'ZERO') {
    if (access.toUpperCase() !== 'NOACCESS' && (file ?? '') === '') throw bad('without the name of a file')
    if (file === undefined && rest.trim() !== '') throw bad(`with "${printable(rest.trim())}" behind it`)
  }
  const start = sectorCount(offset)
  if (!(start <= maximumSectors) && others === undefined) throw bad(`that begins at "${printable(offset)}"`)
  return {
    access: access.toUpperCase() as ExtentLine['access'],
    sectors,
    type: kind as ExtentType,
    names: file === undefined ? [] : decode(file),
    offset: kind === 'FLAT' || kind === 'VMFS' ? start : 0,
    line,
  }
}

/** A number of sectors; NaN where the text is none. */
function sectorCount(text: string): number {
  return /^\d{1,19}$/.test(text) ? Number(text) : NaN
}

/** Hexadecimal, one to eight digits. */
function parseCid(text: string | undefined): number | undefined {
  return text !== undefined && /^(?:0x)?[0-9a-f]{1,8}$/i.test(text) ? parseInt(text.replace(/^0x/i, ''), 16) : undefined
}

/**
 * Makes names of this system of what stands in a descriptor: the text in the encoding that it says, and its bytes as
 * they are, since files are copied between systems with the bytes of their names.
 */
function namesOf(encoding: string | undefined): (stored: string) => string[] {
  const label = (encoding ?? 'utf-8').toLowerCase()
  let decoder: InstanceType<typeof TextDecoder>
  try {
    decoder = new TextDecoder(label, { fatal: true })
  } catch {
    decoder = new TextDecoder('utf-8', { fatal: true })
  }
  const western = new TextDecoder('windows-1252')
  return (stored) => {
    const raw = Buffer.from(stored, 'latin1')
    const asBytes = hostName(raw)
    if (raw.every((byte) => byte < 128)) return [asBytes]
    const names: string[] = []
    try {
      names.push(decoder.decode(raw))
    } catch {
      // Not in that encoding: as it stands, then as the most usual one of old files.
    }
    names.push(asBytes, western.decode(raw))
    return [...new Set(names)]
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Kinds whose extents are devices or objects of a datastore. */
const outside: ReadonlyMap<string, string> = new Map([
  ['fulldevice', 'names a physical device'],
  ['partitioneddevice', 'names a physical device'],
  ['vmfsrdm', 'names a physical device (raw device map)'],
  ['vmfsrdmp', 'names a physical device (raw device map)'],
  ['vmfsraw', 'names a physical device'],
  ['vmfsrawdevicemap', 'names a physical device (raw device map)'],
  ['vmfspassthroughrawdevicemap', 'names a physical device (raw device map)'],
])

/**
 * Refuses what no reader of files can read. @throws ImageError unsupported E_TYPE, E_ENCRYPTED, E_UNSUPPORTED_FEATURE;
 * corrupt E_DESCRIPTOR, E_DISK_SIZE.
 */
export function checkDescriptor(descriptor: Descriptor, name: string): void {
  const { kind, createType, extents, values } = descriptor
  const device = outside.get(kind)
  const shown = `${name} is a VMDK of the type ${printable(createType)}, which`
  if (device !== undefined)
    throw unsupported('E_TYPE', `${shown} ${device}, and is no file`, {
      hint: 'Read the device itself, with `vdisk image`, on the host that has it.',
      details: { createType },
    })
  if ([...values.keys(), ...descriptor.ddb.keys()].some((key) => /^encryption\.|^keysafe$/.test(key)))
    throw unsupported('E_ENCRYPTED', `${name} is encrypted; encrypted images cannot be read`, {
      hint: 'Decrypt the virtual machine with VMware, then read the disk.',
    })
  if (/^yes$/i.test(values.get('isnativesnapshot') ?? ''))
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${name} is a native snapshot: its content is kept by the storage array, not in this file`,
      { hint: 'Clone the machine on the ESXi host, and read the clone.' },
    )
  const object = extents.find(({ names }) => /^(?:vsan|vvol):\/\//i.test(names[0] ?? ''))
  if (object !== undefined)
    throw unsupported(
      'E_TYPE',
      `${name} names "${printable(object.names[0] ?? '')}", an object of a ` +
        `${/^vsan/i.test(object.names[0] ?? '') ? 'vSAN' : 'vVol'} datastore, which is no file`,
      { hint: 'Export the disk from vSphere, or clone it to a datastore of files.' },
    )
  const raw = extents.find(({ type }) => type === 'VMFSRDM' || type === 'VMFSRAW')
  if (raw !== undefined)
    throw unsupported('E_TYPE', `${name} names a physical device (an extent of the type ${raw.type}), and is no file`, {
      hint: 'Read the device itself, with `vdisk image`, on the host that has it.',
    })
  if (extents.length === 0) throw corrupt('E_DESCRIPTOR', `${name}: its descriptor lists no extent`)
  const total = extents.reduce((sum, { sectors }) => sum + sectors, 0)
  if (total === 0) throw corrupt('E_DISK_SIZE', `${name}: its extents have no sector together`)
  if (total > maximumSectors) throw corrupt('E_DISK_SIZE', `${name}: its extents have ${total} sectors, more than 2^43`)
}
