import { adler32 } from '../../binary/adler32.js'
import { safeNumber } from '../../binary/integers.js'
import { nilUuid, type FieldRow } from '../../binary/struct.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, unsupported, type ImageError } from '../../errors.js'
import { sectionBytes, type SegmentSection } from './sections.js'
import { volume1, volumeSmart } from './structs.js'
import type { HeaderValues } from './text.js'

/** What is imaged, and in which chunks. */
export interface Media {
  readonly kind: 'encase' | 'smart' | 'ex01'
  readonly capacity: number
  readonly bytesPerSector: number
  readonly chunkSize: number
  readonly chunks: number
  /** Chunks that the image says it has. */
  readonly recordedChunks: number
  /** Sectors that one read error takes with it; 0: not recorded. */
  readonly errorGranularity: number
  readonly type: string
  readonly isPhysical: boolean | undefined
  readonly compression: string
  /** Undefined where none is recorded. */
  readonly setIdentifier: string | undefined
  readonly rows: FieldRow[]
}

const largestChunk = 32 * 1024 * 1024
const mediaTypes: Readonly<Record<number, string>> = {
  0: 'removable disk',
  1: 'fixed disk',
  3: 'optical disc',
  0xe: 'logical evidence',
  0x10: 'memory',
}
const driveTypes: Readonly<Record<string, string>> = {
  a: 'RAM disk',
  c: 'optical disc',
  f: 'fixed disk',
  l: 'logical evidence',
  m: 'memory',
  p: 'PALM',
  r: 'removable disk',
}
const compressionLevels: Readonly<Record<number, string>> = { 0: 'none', 1: 'fast', 2: 'best' }

/** The media of a `volume`, `disk` or `data` section; undefined where its checksum is wrong. */
export function readVolume(store: ByteStore, section: SegmentSection): Media | undefined {
  const bytes = sectionBytes(store, section, 65536)
  if (bytes.length === volumeSmart.size) {
    const values = volumeSmart.read(bytes)
    if (adler32(bytes, 0, 90) !== values.checksum) return undefined
    return media(store, section.start, {
      ...values,
      kind: 'smart',
      sectorCount: values.sectorCount,
      errorGranularity: 0,
      type: 'disk',
      isPhysical: undefined,
      compression: 'always',
      setIdentifier: undefined,
      rows: volumeSmart.rows(bytes, section.start),
    })
  }
  if (bytes.length < volume1.size) throw bad(store, section.start, `it has ${bytes.length} bytes`)
  const values = volume1.read(bytes)
  if (adler32(bytes, 0, 1048) !== values.checksum) return undefined
  if (values.mediaType === 0xe) throw logical(store)
  return media(store, section.start, {
    ...values,
    kind: 'encase',
    sectorCount: safeNumber(values.sectorCount, `${store.name}: the number of sectors`),
    type: mediaTypes[values.mediaType] ?? `type ${values.mediaType}`,
    isPhysical: Math.floor(values.mediaFlags / 2) % 2 === 1,
    compression: compressionLevels[values.compressionLevel] ?? `level ${values.compressionLevel}`,
    setIdentifier: values.setIdentifier === nilUuid ? undefined : values.setIdentifier,
    rows: volume1.rows(bytes, section.start),
  })
}

/** The media of version 2, from its two texts. @param method as the file header has it. */
export function mediaOfTexts(
  store: ByteStore,
  at: number,
  device: HeaderValues,
  about: HeaderValues,
  { setIdentifier, compression }: { readonly setIdentifier: string; readonly compression: number },
): Media {
  const count = (values: HeaderValues, tag: string): number => {
    const text = values.get(tag) ?? ''
    if (!/^\d{1,16}$/.test(text)) throw bad(store, at, `its value ${tag} is no number`)
    return Number(text)
  }
  const type = device.get('dt') ?? ''
  if (type === 'l') throw logical(store)
  return media(store, at, {
    kind: 'ex01',
    sectorCount: count(device, 'ts'),
    bytesPerSector: count(device, 'bp'),
    sectorsPerChunk: count(about, 'sb'),
    chunkCount: count(about, 'tb'),
    errorGranularity: (about.get('gr') ?? '') === '' ? 0 : count(about, 'gr'),
    type: driveTypes[type] ?? 'disk',
    isPhysical: device.get('ph') === '1',
    compression: ({ 0: 'none', 1: 'zlib', 2: 'bzip2' } as Record<number, string>)[compression] ?? '',
    setIdentifier,
    rows: [],
  })
}

function media(
  store: ByteStore,
  at: number,
  values: Omit<Media, 'capacity' | 'chunkSize' | 'chunks' | 'recordedChunks'> & {
    readonly sectorCount: number
    readonly sectorsPerChunk: number
    readonly chunkCount: number
  },
): Media {
  const { sectorCount, sectorsPerChunk, bytesPerSector, chunkCount } = values
  if (![512, 1024, 2048, 4096].includes(bytesPerSector)) throw bad(store, at, `a sector has ${bytesPerSector} bytes`)
  const chunkSize = sectorsPerChunk * bytesPerSector
  if (chunkSize === 0 || chunkSize > largestChunk) throw bad(store, at, `a chunk has ${sectorsPerChunk} sectors`)
  const capacity = sectorCount * bytesPerSector
  if (!Number.isSafeInteger(capacity)) throw bad(store, at, `there are ${sectorCount} sectors`)
  return {
    kind: values.kind,
    capacity,
    bytesPerSector,
    chunkSize,
    chunks: Math.ceil(capacity / chunkSize),
    recordedChunks: chunkCount,
    errorGranularity: values.errorGranularity,
    type: values.type,
    isPhysical: values.isPhysical,
    compression: values.compression,
    setIdentifier: values.setIdentifier,
    rows: values.rows,
  }
}

function bad({ name }: ByteStore, position: number, why: string): ImageError {
  return corrupt('E_HEADER', `${name}: the description of the media at byte ${position} is damaged: ${why}`, {
    details: { position },
  })
}

function logical({ name }: ByteStore): ImageError {
  return unsupported('E_UNSUPPORTED_FORMAT', `${name} is logical evidence: it holds files, not a disk`, {
    hint: 'Extract the files with the program that made it.',
  })
}
