import { usage } from '../../../errors.js'
import type { ParentShape } from '../../driver.js'
import { storedName, qemuFormat } from '../format/backing.js'
import { withBits } from '../../../binary/flags.js'
import { maximumNameBytes } from '../format/layout.js'
import type { CreateSettings } from './options.js'
import {
  autoclear,
  compatible,
  extensionHeader,
  extensionTypes,
  featureName,
  headerV2,
  headerV3Compression,
  incompatible,
  knownFeatures,
  magic,
} from '../format/structs.js'
import { nameBytes } from '../../../sys/host-fs.js'

/** What is known of the tables only at the end. Positions in bytes. */
export interface TablePlaces {
  readonly l1Position: number
  readonly refcountTablePosition: number
  readonly refcountTableClusters: number
}

/**
 * The header cluster up to the end of the backing file name. Everything but the tables' places is settled now, so that
 * a name too
 * long is refused before anything is written. @throws ImageError usage E_PARENT_NAME.
 */
export function headerCluster(
  settings: CreateSettings,
  parent: ParentShape | undefined,
): (tables: TablePlaces) => Uint8Array {
  const { clusterSize, clusterBits } = settings.geometry
  const backingName = parent === undefined ? new Uint8Array(0) : storedName(parent)
  const headerLength = settings.version === 2 ? headerV2.size : headerV3Compression.size
  const required = [
    ...(settings.dataFile === undefined ? [] : [extension(extensionTypes.dataFile, nameBytes(settings.dataFile))]),
    ...(parent === undefined
      ? []
      : [extension(extensionTypes.backingFormat, Buffer.from(qemuFormat(parent.image.format)))]),
  ]
  const end = extension(extensionTypes.end, new Uint8Array(0))
  const names = extension(extensionTypes.featureNames, featureTable())
  const lengthOf = (parts: readonly Uint8Array[]): number =>
    parts.reduce((total, part) => total + part.length, headerLength)
  // The table of names is a courtesy: with clusters of 512 bytes there may be no room for it.
  const withNames = [...required, names, end]
  const extensions =
    settings.version === 3 && lengthOf(withNames) + backingName.length <= clusterSize ? withNames : [...required, end]
  const backingOffset = lengthOf(extensions)
  if (backingName.length > maximumNameBytes || backingOffset + backingName.length > clusterSize) {
    throw usage(
      'E_PARENT_NAME',
      `qcow2: the path of the parent has ${backingName.length} bytes, there is room for ` +
        `${Math.min(maximumNameBytes, clusterSize - backingOffset)}`,
      { hint: 'Put the parent nearer to the new image, or use a larger cluster-size.' },
    )
  }
  return (tables) => {
    const common = {
      magic,
      version: settings.version,
      backingFileOffset: parent === undefined ? 0n : BigInt(backingOffset),
      backingFileSize: backingName.length,
      clusterBits,
      size: BigInt(settings.capacity),
      cryptMethod: 0,
      l1Size: settings.l1Entries,
      l1TableOffset: BigInt(tables.l1Position),
      refcountTableOffset: BigInt(tables.refcountTablePosition),
      refcountTableClusters: tables.refcountTableClusters,
      nbSnapshots: 0,
      snapshotsOffset: 0n,
    }
    const header =
      settings.version === 2
        ? headerV2.write(common)
        : headerV3Compression.write({ ...common, ...features(settings), headerLength })
    return Buffer.concat([header, ...extensions, backingName])
  }
}

function features(settings: CreateSettings): {
  incompatibleFeatures: bigint
  compatibleFeatures: bigint
  autoclearFeatures: bigint
  refcountOrder: number
  compressionType: number
} {
  const zstd = settings.compression?.type === 'zstd'
  return {
    incompatibleFeatures: withBits([
      ...(settings.dataFile === undefined ? [] : [incompatible.dataFile]),
      ...(zstd ? [incompatible.compressionType] : []),
      ...(settings.extendedL2 ? [incompatible.extendedL2] : []),
    ]),
    compatibleFeatures: withBits(settings.lazyRefcounts ? [compatible.lazyRefcounts] : []),
    autoclearFeatures: withBits(settings.rawDataFile ? [autoclear.rawDataFile] : []),
    refcountOrder: settings.refcountOrder,
    compressionType: zstd ? 1 : 0,
  }
}

/** Type, length, data, and zeros up to a multiple of eight. */
export function extension(type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(extensionHeader.size + data.length + ((8 - (data.length % 8)) % 8))
  bytes.set(extensionHeader.write({ type, length: data.length }))
  bytes.set(data, extensionHeader.size)
  return bytes
}

function featureTable(): Uint8Array {
  return Buffer.concat(knownFeatures.map(({ type, bit, name }) => featureName.write({ type, bit, name })))
}
