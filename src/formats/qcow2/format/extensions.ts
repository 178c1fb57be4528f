import { hex32 } from '../../../binary/hex.js'
import type { FieldRow, StructValues } from '../../../binary/struct.js'
import { bitmapsExtension, cryptoPointer, extensionHeader, extensionTypes, featureName } from './structs.js'
import { hostName } from '../../../sys/host-fs.js'

/** The header extensions. */
export interface Extensions {
  readonly backingFormat: string | undefined
  readonly dataFile: string | undefined
  /** Names by `type/bit`. */
  readonly featureNames: ReadonlyMap<string, string>
  readonly bitmaps: StructValues<typeof bitmapsExtension> | undefined
  readonly crypto: StructValues<typeof cryptoPointer> | undefined
  /** Types in the order they stand, the first {@link listedExtensions} of them. */
  readonly list: readonly { readonly type: number; readonly position: number; readonly length: number }[]
  /** How many there are. */
  readonly count: number
  readonly rows: readonly FieldRow[]
  /**
   * The one that they end before because it is damaged: where it stands, and what is wrong; the message goes on from
   * "the".
   */
  readonly fault: { readonly position: number; readonly message: string } | undefined
}

/** A cluster can hold 262,144 empty extensions: more than this many are counted and not listed. */
const listedExtensions = 64

/**
 * Walks the extensions from the end of the header to the end mark or to `end` (the backing file name, the cluster's or
 * the file's end).
 * Unknown ones are passed over. One that passes `end` is damaged, and where the next would be is not known.
 */
export function readExtensions(cluster: Uint8Array, start: number, end: number): Extensions {
  let backingFormat: string | undefined
  let dataFile: string | undefined
  let bitmaps: Extensions['bitmaps']
  let crypto: Extensions['crypto']
  const featureNames = new Map<string, string>()
  const list: { type: number; position: number; length: number }[] = []
  const rows: FieldRow[] = []
  let count = 0
  let fault: Extensions['fault']
  let position = start
  while (position + extensionHeader.size <= end) {
    const { type, length } = extensionHeader.read(cluster, position)
    if (type === extensionTypes.end) break
    const at = position + extensionHeader.size
    if (at + length > end) {
      fault = {
        position,
        message:
          `header extension 0x${hex32(type)} at byte ${position} has ` +
          `${length} bytes, there is room for ${end - at}`,
      }
      break
    }
    const data = cluster.subarray(at, at + length)
    switch (type) {
      case extensionTypes.backingFormat:
        backingFormat = textOf(data)
        break
      case extensionTypes.dataFile:
        dataFile = textOf(data)
        break
      case extensionTypes.featureNames:
        // A rest shorter than an entry is passed over, as are entries of unknown type.
        for (let entry = 0; entry + featureName.size <= length && featureNames.size < 192; entry += featureName.size) {
          const feature = featureName.read(data, entry)
          featureNames.set(`${feature.type}/${feature.bit}`, feature.name.replace(/\0.*$/s, ''))
        }
        break
      case extensionTypes.bitmaps:
        if (length >= bitmapsExtension.size) {
          bitmaps = bitmapsExtension.read(data)
          rows.push(...bitmapsExtension.rows(data, at))
        }
        break
      case extensionTypes.cryptoHeader:
        if (length >= cryptoPointer.size) {
          crypto = cryptoPointer.read(data)
          rows.push(...cryptoPointer.rows(data, at))
        }
        break
    }
    if (list.length < listedExtensions) list.push({ type, position, length })
    count++
    position = at + length + ((8 - (length % 8)) % 8)
  }
  return { backingFormat, dataFile, featureNames, bitmaps, crypto, list, count, rows, fault }
}

function textOf(data: Uint8Array): string {
  const end = data.indexOf(0)
  return hostName(end < 0 ? data : data.subarray(0, end))
}
