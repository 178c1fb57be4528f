import { beginsWith } from '../../binary/begins-with.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Codec, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, isImageError, unsupported } from '../../errors.js'
import { isPowerOfTwo } from '../../binary/integers.js'
import type { CheckOptions, DiskImage, Finding } from '../driver.js'
import { Commands } from './commands.js'
import { header as layout, magic } from './structs.js'

const knownMajor = 10
const mostClusterSize = 2 * 1024 * 1024
/** Bytes of content that are decoded together. */
const unitLength = 1024 * 1024
const clustersPerStep = 65536

/** A special image of ntfsclone: the used clusters of an NTFS volume, in the order of the volume. */
export class NtfscloneImage extends ExtentSource implements DiskImage {
  readonly format = 'ntfsclone'
  readonly subformat: string
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[] = []
  readonly #bytes: Uint8Array
  readonly #clusterSize: number
  readonly #clusters: number
  readonly #inUse: number
  readonly #commands: Commands
  readonly #codec: Codec

  /** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_TOO_LARGE; unsupported E_VERSION. */
  constructor(store: ByteStore, codec: Codec) {
    super(store)
    const { name, size } = store
    this.#bytes = headerBytes(store, layout.size, 'an ntfsclone header')
    const bad = badField(name)
    if (!beginsWith(this.#bytes, magic)) throw bad('this is no ntfsclone image, or its start is damaged', 0)
    const values = layout.read(this.#bytes)
    const { majorVersion, minorVersion, clusterSize, clusters, deviceSize, dataOffset, inUse } = values
    if (majorVersion !== knownMajor)
      throw unsupported('E_VERSION', `${name}: version ${majorVersion}.${minorVersion}; 10.x is known`, {
        details: { position: 16 },
        hint: 'Restore it with the ntfsclone that made it, and save it anew.',
      })
    if (!isPowerOfTwo(clusterSize) || clusterSize < 512 || clusterSize > mostClusterSize)
      throw bad(`the cluster size is ${clusterSize}, expected a power of two from 512 to 2 MiB`, 18)
    if (clusters === 0 || !Number.isSafeInteger(clusters * clusterSize)) throw bad(`there are ${clusters} clusters`, 30)
    if (deviceSize < clusters * clusterSize)
      throw bad(`the device has ${deviceSize} bytes, less than its ${clusters} clusters`, 22)
    if (inUse > clusters) throw bad(`${inUse} clusters of ${clusters} are in use`, 38)
    if (dataOffset < layout.size) throw bad(`the data begins at byte ${dataOffset}, in the header`, 46)
    if (dataOffset >= size)
      throw corrupt(
        'E_TRUNCATED',
        `${name}: the data begins at byte ${dataOffset}, but the file ends at byte ${size}`,
        {
          details: { position: 46, size },
          hint: hints.incomplete,
        },
      )
    this.subformat = `v${majorVersion}.${minorVersion}`
    this.capacity = deviceSize
    this.grain = clusterSize
    this.#clusterSize = clusterSize
    this.#clusters = clusters
    this.#inUse = inUse
    this.#commands = new Commands(store, values)
    this.#codec = codec
  }

  protected runAt(offset: number, end: number): Extent {
    const size = this.#clusterSize
    const cluster = Math.floor(offset / size)
    if (cluster >= this.#commands.total) return { kind: 'absent', offset, length: end - offset }
    const perUnit = Math.max(1, unitLength / size)
    const run = this.#commands.runAt(cluster, perUnit)
    if (!run.stored) return { kind: 'absent', offset, length: Math.min(end, run.end * size) - offset }
    const first = run.start + Math.floor((cluster - run.start) / perUnit) * perUnit
    const last = Math.min(run.end, first + perUnit)
    const length = (last - first) * this.#commands.lengthOf(first)
    const unitOffset = first * size
    return {
      kind: 'packed',
      offset,
      length: Math.min(end, unitOffset + length) - offset,
      store: this.store,
      position: run.position + (first - run.start) * (size + 1),
      storedLength: length + last - first,
      codec: this.#codec,
      unitOffset,
      unitLength: length,
    }
  }

  describe(): Section[] {
    return [
      {
        title: 'ntfsclone',
        facts: [
          { name: 'clusterSize', value: this.#clusterSize, unit: 'bytes' },
          { name: 'clusters', value: this.#clusters, unit: 'count' },
          { name: 'inUse', label: 'Clusters in use', value: this.#inUse, unit: 'count' },
          { name: 'stored', value: this.#inUse * this.#clusterSize, unit: 'bytes' },
        ],
        fields: layout.rows(this.#bytes, 0),
      },
    ]
  }

  /** All commands are looked at; there are no checksums. */
  *check({ tables = false }: CheckOptions = {}): Work<void, Finding> {
    // Commands stand between the data: who reads all of it meets them.
    if (tables) return
    const commands = this.#commands
    const { size } = this.store
    try {
      while (commands.known < commands.total) {
        commands.readUntil(Math.min(commands.total, commands.known + clustersPerStep))
        yield { done: commands.position, total: size }
      }
      commands.refuseTrailing()
    } catch (error) {
      if (!isImageError(error)) throw error
      yield {
        severity: 'error',
        code: error.code,
        structure: 'commands',
        position: commands.position,
        message: error.message,
      }
      return
    }
    if (commands.stored !== this.#inUse)
      yield {
        severity: 'warning',
        code: 'W_USED_COUNT',
        structure: 'header',
        position: 38,
        message: `${commands.stored} clusters are stored, the header says ${this.#inUse}`,
      }
  }
}
