import { viewOf } from '../binary/integers.js'
import type { StructValues } from '../binary/struct.js'
import type { HiveBytes } from './bytes.js'
import { hiveDamaged, hiveUnsupported } from './damage.js'
import { baseChecksum } from './entries.js'
import { baseBlock, baseBlockLength, fileTypes } from './structs.js'

export type BaseBlock = StructValues<typeof baseBlock>

/** A base block, and whether its checksum is right. Undefined: the file does not begin with one. */
export function readBase(
  file: HiveBytes,
): { readonly base: BaseBlock; readonly bytes: Uint8Array; readonly valid: boolean } | undefined {
  if (file.size < baseBlock.size) return undefined
  const bytes = new Uint8Array(baseBlock.size)
  file.read(0, bytes)
  const base = baseBlock.read(bytes)
  if (base.signature !== 'regf') return undefined
  return { base, bytes, valid: base.checksum === baseChecksum(bytes) }
}

/** The bytes of a base block of a log, as that of a primary file. */
export function asPrimary(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const view = viewOf(copy)
  view.setUint32(baseBlock.fields.fileType.offset, fileTypes.primary, true)
  view.setUint32(baseBlock.fields.checksum.offset, baseChecksum(copy), true)
  return copy
}

/** @throws ImageError corrupt E_HIVE_CORRUPT; unsupported E_HIVE_FEATURE: what is not read here. */
export function checkBase(base: BaseBlock, size: number, title: string): void {
  const { major, minor, fileType, fileFormat, binsSize } = base
  if (major !== 1 || minor < 2 || minor > 6)
    throw hiveUnsupported(title, `its format is version ${major}.${minor}, and 1.2 to 1.6 are known`)
  if (fileType !== fileTypes.primary) throw hiveUnsupported(title, `it is no primary file (type ${fileType})`)
  if (fileFormat !== 1) throw hiveUnsupported(title, `its format is ${fileFormat}, and 1 is known`)
  if (binsSize === 0 || binsSize % 4096 !== 0)
    throw hiveDamaged(title, `its bins have ${binsSize} bytes, which is no multiple of 4096`, 40)
  if (baseBlockLength + binsSize > size)
    throw hiveDamaged(title, `its bins have ${binsSize} bytes, and the file only ${size}`, 40)
}
