import { hex32 } from '../../../binary/hex.js'
import type { ByteStore, Fact, Section } from '../../../block/types.js'
import { isImageError, printable } from '../../../errors.js'
import { readBitmaps } from '../format/bitmaps.js'
import { bitsOf } from '../../../binary/flags.js'
import type { Header } from '../format/header.js'
import type { Snapshot } from '../format/snapshots.js'
import { autoclear, extensionTypes, knownFeatures } from '../format/structs.js'

/** How many snapshots and bitmaps are shown; the rest is counted. */
const listed = 100

/** What `info` says of a QCOW2 image beyond the common facts. */
export function describeImage(store: ByteStore, header: Header, snapshots: readonly Snapshot[]): Section[] {
  const { extensions, geometry } = header
  const facts: Fact[] = [
    { name: 'version', value: header.version },
    { name: 'compat', value: header.version === 2 ? '0.10' : '1.1' },
    { name: 'clusterSize', value: geometry.clusterSize, unit: 'bytes' },
    ...(header.extendedL2 ? [{ name: 'subclusterSize', value: geometry.grain, unit: 'bytes' } as const] : []),
    { name: 'refcountBits', value: header.refcountBits },
    { name: 'compressionType', value: header.compression, key: header.compression !== 'zlib' },
    { name: 'extendedL2', label: 'Extended L2', value: header.extendedL2 },
    { name: 'lazyRefcounts', value: header.lazyRefcounts },
    { name: 'dirty', value: header.dirty },
    { name: 'corrupt', value: header.corrupt },
    ...features('incompatibleFeatures', 0, header.incompatibleFeatures, header),
    ...features('compatibleFeatures', 1, header.compatibleFeatures, header),
    ...features('autoclearFeatures', 2, header.autoclearFeatures, header),
  ]
  if (header.cryptMethod !== 0)
    facts.push({
      name: 'encryption',
      key: true,
      value: ['none', 'AES', 'LUKS'][header.cryptMethod] ?? `unknown method ${header.cryptMethod}`,
    })
  if (header.backingFile !== undefined) {
    facts.push({ name: 'backingFile', value: printable(header.backingFile) })
    facts.push({
      name: 'backingFormat',
      value: extensions.backingFormat === undefined ? 'not recorded' : printable(extensions.backingFormat),
    })
  }
  if (header.dataFile) {
    facts.push({
      name: 'dataFile',
      value: extensions.dataFile === undefined ? 'not recorded' : printable(extensions.dataFile),
    })
    facts.push({ name: 'dataFileRaw', value: header.rawDataFile })
  }
  if (extensions.count > 0)
    facts.push({
      name: 'headerExtensions',
      value:
        extensions.list.map((extension) => nameOf(extension.type)).join(', ') +
        (extensions.count > extensions.list.length ? ` and ${extensions.count - extensions.list.length} more` : ''),
    })
  const sections: Section[] = [{ title: 'QCOW2', facts, fields: [...header.rows, ...extensions.rows] }]
  if (snapshots.length > 0) sections.push({ title: 'Snapshots', facts: snapshotFacts(header, snapshots) })
  if (extensions.bitmaps !== undefined) sections.push({ title: 'Bitmaps', facts: bitmapFacts(store, header) })
  return sections
}

function nameOf(type: number): string {
  return Object.entries(extensionTypes).find(([, value]) => value === type)?.[0] ?? `0x${hex32(type)}`
}

function features(name: string, type: 0 | 1 | 2, word: bigint, header: Header): Fact[] {
  const bits = bitsOf(word)
  if (bits.length === 0) return []
  const names = bits.map(
    (bit) =>
      knownFeatures.find((feature) => feature.type === type && feature.bit === bit)?.name ??
      printable(header.extensions.featureNames.get(`${type}/${bit}`) ?? `bit ${bit}`),
  )
  return [{ name, value: names.join(', ') }]
}

function snapshotFacts(header: Header, snapshots: readonly Snapshot[]): Fact[] {
  const facts: Fact[] = [
    { name: 'snapshotCount', label: 'snapshots', value: snapshots.length, unit: 'count', key: true },
  ]
  for (const [index, snapshot] of snapshots.slice(0, listed).entries()) {
    const prefix = `snapshot${index + 1}`
    const label = `Snapshot ${printable(snapshot.id)}`
    facts.push(
      { name: `${prefix}Id`, label: `${label} id`, value: printable(snapshot.id) },
      { name: `${prefix}Name`, label: `${label} name`, value: printable(snapshot.name) },
      { name: `${prefix}Date`, label: `${label} date`, value: new Date(snapshot.time * 1000).toISOString() },
      {
        name: `${prefix}Size`,
        label: `${label} disk size`,
        value: snapshot.diskSize ?? header.capacity,
        unit: 'bytes',
      },
      { name: `${prefix}VmStateSize`, label: `${label} VM state`, value: snapshot.vmStateSize, unit: 'bytes' },
    )
  }
  return facts
}

function bitmapFacts(store: ByteStore, header: Header): Fact[] {
  const count = header.extensions.bitmaps?.count ?? 0
  const consistent = bitsOf(header.autoclearFeatures).includes(autoclear.bitmaps)
  const facts: Fact[] = [
    { name: 'bitmapCount', value: count, unit: 'count' },
    { name: 'bitmapsConsistent', value: consistent },
  ]
  try {
    for (const [index, bitmap] of readBitmaps(store, header, listed).entries()) {
      const state = [bitmap.inUse ? 'in use (not to be trusted)' : '', bitmap.auto ? 'auto' : '']
        .filter((word) => word !== '')
        .join(', ')
      facts.push({
        name: `bitmap${index + 1}`,
        label: `Bitmap ${index + 1}`,
        value: `${printable(bitmap.name)}, ${bitmap.granularity} bytes a bit${state === '' ? '' : `, ${state}`}`,
      })
    }
  } catch (error) {
    // Bitmaps are not needed to read the disk: what is wrong with them is shown with the rest of the image.
    if (!isImageError(error)) throw error
    facts.push({ name: 'bitmapError', value: error.message })
  }
  return facts
}
