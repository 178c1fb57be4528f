import { unsupported } from '../../errors.js'
import { decodeLznt1 } from '../../codec/lznt1.js'
import { damaged } from '../damage.js'
import { FileMap } from '../file-map.js'
import type { ByteRun } from '../types.js'
import type { VolumeReader } from '../volume-reader.js'
import { mappedRuns } from './entries.js'
import type { NtfsLayout } from './layout.js'
import type { Attribute } from './record.js'

/** Larger units of compression are not made by Windows. */
const maximumUnit = 1024 * 1024

/** The bytes of an attribute. */
export interface Stream {
  readonly size: number
  /** The runs that hold data; between them it reads as zero. */
  dataRuns(): Iterable<ByteRun>
  /** offset + target.length ≤ size. @throws ImageError corrupt. */
  read(offset: number, target: Uint8Array): void
}

/**
 * Adds the clusters of one part of an attribute. @throws ImageError corrupt E_FS_CORRUPT: the parts leave a gap, or the
 * runs the volume.
 */
export function addRuns(map: FileMap, { content }: Attribute, layout: NtfsLayout): void {
  if (content.resident) throw damaged('NTFS', 'an attribute lies both inside and outside of its record')
  const { clusterSize, clusters } = layout
  const { startVcn, endVcn } = content
  if (startVcn * clusterSize !== map.length)
    throw damaged(
      'NTFS',
      `a part of an attribute begins at VCN ${startVcn}, and ${map.length / clusterSize} was expected`,
    )
  try {
    for (const run of mappedRuns(content.runs)) {
      const length = run.clusters * clusterSize
      if (run.lcn === undefined ? !Number.isSafeInteger(map.length + length) : run.lcn + run.clusters > clusters) {
        throw damaged(
          'NTFS',
          `a run of ${run.clusters} clusters${run.lcn === undefined ? '' : ` from cluster ${run.lcn} on`} ` +
            `leaves the volume of ${clusters}`,
        )
      }
      map.push(length, run.lcn === undefined ? undefined : run.lcn * clusterSize)
    }
  } catch (error) {
    if (error instanceof RangeError)
      throw damaged('NTFS', `the list of runs of an attribute is not valid: ${error.message}`)
    throw error
  }
  if (map.length !== (endVcn + 1) * clusterSize)
    throw damaged(
      'NTFS',
      `a part of an attribute has clusters up to VCN ${map.length / clusterSize - 1}, and ${endVcn} was expected`,
    )
}

/**
 * The stream of an attribute's parts, in order of their VCN. @throws ImageError corrupt E_FS_CORRUPT; unsupported
 * E_FS_FEATURE (encrypted).
 */
export function openStream(reader: VolumeReader, parts: readonly Attribute[], layout: NtfsLayout): Stream {
  const [first] = parts
  if (first === undefined) return new ResidentStream(new Uint8Array(0))
  if (first.isEncrypted)
    throw unsupported('E_FS_FEATURE', 'the file is encrypted by Windows (EFS): its key is not in the image')
  const { content } = first
  if (content.resident) return new ResidentStream(content.value)
  const map = new FileMap()
  for (const part of parts) addRuns(map, part, layout)
  const size = content.realSize
  if (size > map.length) throw damaged('NTFS', `an attribute has ${size} bytes, and clusters for ${map.length}`)
  const valid = Math.min(content.initializedSize, size)
  if (!first.isCompressed) return new MappedStream(reader, map, size, valid)
  const unit = 2 ** content.compressionUnit * layout.clusterSize
  if (content.compressionUnit === 0 || unit > maximumUnit)
    throw unsupported('E_FS_FEATURE', `the file is compressed in units of ${unit} bytes`)
  return new CompressedStream(reader, map, size, valid, unit)
}

class ResidentStream implements Stream {
  readonly size: number
  readonly #value: Uint8Array

  constructor(value: Uint8Array) {
    this.#value = value
    this.size = value.length
  }

  dataRuns(): ByteRun[] {
    return this.size === 0 ? [] : [{ offset: 0, length: this.size }]
  }

  read(offset: number, target: Uint8Array): void {
    target.set(this.#value.subarray(offset, offset + target.length))
  }
}

class MappedStream implements Stream {
  readonly #reader: VolumeReader
  readonly #map: FileMap
  readonly #valid: number

  /** @param valid bytes that were written; what follows reads as zero. */
  constructor(
    reader: VolumeReader,
    map: FileMap,
    readonly size: number,
    valid: number,
  ) {
    this.#reader = reader
    this.#map = map
    this.#valid = valid
  }

  dataRuns(): Iterable<ByteRun> {
    return this.#map.dataRuns(this.#valid)
  }

  read(offset: number, target: Uint8Array): void {
    const valid = Math.max(0, Math.min(target.length, this.#valid - offset))
    this.#map.read(this.#reader, offset, target.subarray(0, valid))
    target.fill(0, valid)
  }
}

/**
 * LZNT1 in units: one without clusters is zero, one with all its clusters is as it is, one with fewer is compressed
 * into them.
 */
class CompressedStream implements Stream {
  readonly #reader: VolumeReader
  readonly #map: FileMap
  readonly #valid: number
  readonly #unit: number
  #decoded = new Uint8Array(0)
  #decodedStart = -1

  constructor(
    reader: VolumeReader,
    map: FileMap,
    readonly size: number,
    valid: number,
    unit: number,
  ) {
    this.#reader = reader
    this.#map = map
    this.#valid = valid
    this.#unit = unit
  }

  *dataRuns(): Generator<ByteRun> {
    let end = 0
    let start = -1
    for (const { offset, length } of this.#map.dataRuns(this.#valid)) {
      const first = offset - (offset % this.#unit)
      const behind = Math.min(this.#valid, Math.ceil((offset + length) / this.#unit) * this.#unit)
      if (start >= 0 && first > end) {
        yield { offset: start, length: end - start }
        start = first
      }
      if (start < 0) start = first
      end = behind
    }
    if (start >= 0) yield { offset: start, length: end - start }
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = offset + done
      if (at >= this.#valid) {
        target.fill(0, done)
        return
      }
      const start = at - (at % this.#unit)
      const piece = this.#decode(start).subarray(
        at - start,
        Math.min(at - start + target.length - done, this.#valid - start),
      )
      target.set(piece, done)
      done += piece.length
    }
  }

  #decode(start: number): Uint8Array {
    if (this.#decodedStart === start) return this.#decoded
    const end = Math.min(start + this.#unit, this.#map.length)
    const stored = new Uint8Array(end - start)
    let filled = 0
    for (let at = start; at < end;) {
      const { length, position } = this.#map.at(at)
      const piece = Math.min(length, end - at)
      if (position !== undefined) {
        this.#reader.read(position, stored.subarray(filled, filled + piece))
        filled += piece
      }
      at += piece
    }
    const unit = new Uint8Array(this.#unit)
    if (filled === this.#unit) unit.set(stored)
    else if (filled > 0) decodeLznt1(stored.subarray(0, filled), unit)
    this.#decoded = unit
    this.#decodedStart = start
    return unit
  }
}
