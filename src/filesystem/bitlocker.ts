import { ascii, guid, struct, u16, u32, u64 } from '../binary/struct.js'
import { viewOf } from '../binary/integers.js'
import type { BlockSource, Fact } from '../block/types.js'
import { isImageError } from '../errors.js'
import type { Filesystem, FilesystemFamily, FilesystemIssue } from './types.js'
import { VolumeReader } from './volume-reader.js'

/** The boot sector of Windows 7 and later; of Vista only the signature is the same. */
const bootSector = struct('little', 512, { signature: ascii(3, 8), identifier: guid(160), metadata: u64(176) })
/** BitLocker To Go: a boot sector that looks like FAT32, so that older systems show a reader program. */
const toGoSector = struct('little', 512, { signature: ascii(3, 8), identifier: guid(424), metadata: u64(440) })
/** The FVE metadata block and the header behind it (libbde, "BitLocker Drive Encryption (BDE) format"). */
const metadataBlock = struct('little', 112, {
  signature: ascii(0, 8),
  version: u16(10),
  metadataSize: u32(64),
  volume: guid(80),
  method: u16(100),
  created: u64(104),
})

const signature = '-FVE-FS-'
/** BitLocker, and BitLocker with only the used space encrypted. */
const identifiers = new Set(['4967d63b-2e29-4ad8-8399-f6a339e3d001', '92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8'])
const methods: Readonly<Record<number, string>> = {
  0x8000: 'AES-CBC 128-bit with diffuser',
  0x8001: 'AES-CBC 256-bit with diffuser',
  0x8002: 'AES-CBC 128-bit',
  0x8003: 'AES-CBC 256-bit',
  0x8004: 'AES-XTS 128-bit',
  0x8005: 'AES-XTS 256-bit',
}
/** Longest metadata that is looked through for the description; Windows writes some KiB. */
const maximumMetadata = 65536
const descriptionType = 7

/** Whether a first sector is BitLocker's: then what else it looks like does not count. */
export function isBitlocker(sector: Uint8Array): boolean {
  if (bootSector.read(sector).signature === signature) return true
  const toGo = toGoSector.read(sector)
  return toGo.signature === 'MSWIN4.1' && identifiers.has(toGo.identifier)
}

/** BitLocker and BitLocker To Go (the sheet's sections 1, 14 and 15). */
export const bitlocker: FilesystemFamily = {
  id: 'bitlocker',
  identify: (volume) => {
    if (volume.capacity < 512) return []
    const sector = new Uint8Array(512)
    volume.read(0, sector)
    return isBitlocker(sector) ? [describe(volume, sector)] : []
  },
}

function describe(volume: BlockSource, sector: Uint8Array): Filesystem {
  const boot = bootSector.read(sector)
  const toGo = boot.signature !== signature
  const known = toGo ? toGoSector.read(sector) : boot
  // Vista keeps the metadata's cluster where later versions have other things.
  const vista = !toGo && !identifiers.has(boot.identifier)
  const facts: Fact[] = []
  const issues: FilesystemIssue[] = []
  const common = {
    type: 'BitLocker',
    title: toGo ? 'BitLocker To Go' : 'BitLocker',
    kind: 'container',
    state: 'unknown',
    facts,
    issues,
  } as const
  if (vista) return { ...common, version: '1' }
  facts.push({ name: 'metadataOffset', value: known.metadata, unit: 'bytes' })
  const metadata = readMetadata(new VolumeReader(volume, common.title), known.metadata)
  if (metadata === undefined) {
    issues.push({
      code: 'E_FS_CORRUPT',
      severity: 'error',
      message: `there is no BitLocker metadata at byte ${known.metadata} of the volume`,
    })
    return common
  }
  const { header, description } = metadata
  facts.push({ name: 'encryption', value: methods[header.method] ?? `unknown (0x${header.method.toString(16)})` })
  return {
    ...common,
    version: String(header.version),
    uuid: header.volume,
    label: description,
  }
}

function readMetadata(reader: VolumeReader, place: bigint) {
  try {
    const position = Number(place)
    const header = metadataBlock.read(reader.bytes(position, metadataBlock.size))
    if (header.signature !== signature) return undefined
    const length = Math.max(48, Math.min(header.metadataSize, maximumMetadata, reader.size - position - 64))
    return { header, description: findDescription(reader.bytes(position + 64, length)) }
  } catch (error) {
    if (isImageError(error)) return undefined
    throw error
  }
}

/** The description is an entry of UTF-16 text: size, type, value type and version of 16 bits each, then the value. */
function findDescription(metadata: Uint8Array): string | undefined {
  const view = viewOf(metadata)
  for (let at = 48; at + 8 <= metadata.length;) {
    const size = view.getUint16(at, true)
    if (size < 8 || at + size > metadata.length) return undefined
    if (view.getUint16(at + 2, true) === descriptionType)
      return Buffer.from(metadata.subarray(at + 8, at + size - (size % 2)))
        .toString('utf16le')
        .replace(/\0.*$/s, '')
    at += size
  }
  return undefined
}
