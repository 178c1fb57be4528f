import { randomUuid } from '../../../sys/random-uuid.js'
import { roundUp } from '../../../binary/integers.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { readHeader } from '../format/header.js'
import { HeaderWriter } from '../format/header-writer.js'
import { Journal } from './journal.js'
import { maximumLogLength } from '../format/log.js'
import { LogWriter } from './log-writer.js'
import { openLayer, type OpenLayer } from '../read/reader.js'
import { readStructures } from '../format/structures.js'
import type { Area } from '../format/regions.js'
import { SpaceMap } from './space-map.js'
import { mebibyte, nilUuid } from '../format/structs.js'

/**
 * A VHDX that is being changed: its file, log, headers, and space. Nothing is written before {@link begin}. After a
 * failure to make
 * something durable everything is refused: what the medium holds is then unknown, and the log is left for the next
 * opening to replay.
 */
export class WriteSession {
  readonly file: ByteStore
  readonly journal: Journal
  readonly notes: readonly Note[]
  readonly space: SpaceMap
  #layer: OpenLayer
  #header: HeaderWriter
  #begun = false
  #changedData = false
  readonly #nextIdentity = randomUuid()
  #cutsEnd = false
  #failure: { readonly cause: unknown } | undefined

  readonly #keepsContent: boolean

  /**
   * @param file an image with an empty log. @param keepsContent whether the guest sees the same after all changes.
   * @throws ImageError corrupt also E_OVERLAP where two things share space.
   */
  constructor(file: ByteStore, keepsContent = false) {
    this.#keepsContent = keepsContent
    const notes: Note[] = []
    const header = readHeader(file, notes)
    this.file = file
    this.notes = notes
    this.journal = new Journal(file)
    this.#header = new HeaderWriter(file, header)
    this.#layer = openLayer(readStructures(this.journal, header, undefined, notes))
    this.space = spaceOf(file, this.#layer)
  }

  get layer(): OpenLayer {
    return this.#layer
  }

  /** DataWriteGuid. */
  get identity(): string {
    return this.#header.values.dataWriteGuid
  }

  /** The DataWriteGuid from the first change on that the guest can see. */
  get nextIdentity(): string {
    return this.#nextIdentity
  }

  /** All structures as they are now, read afresh. */
  read(): OpenLayer {
    // The log that the header names is this session's own, and all of it is in the journal.
    return openLayer(readStructures(this.journal, { ...readHeader(this.file, []), dirty: false }, undefined, []))
  }

  /** Goes on with the structures read afresh: their places or the disk's size have changed. */
  reload(): void {
    this.#layer = this.read()
  }

  /**
   * Comes before every change. The first one in a session gives the file a new FileWriteGuid and opens its log; the
   * first that the guest
   * can see a new DataWriteGuid (2.2.2).
   */
  begin(changesBlocks: boolean): void {
    const changesData = changesBlocks && !this.#keepsContent
    this.#guarded(() => {
      if (!this.#begun) this.#open(changesData)
      else if (changesData && !this.#changedData) this.#header.update({ dataWriteGuid: this.#nextIdentity })
      this.#begun = true
      this.#changedData ||= changesData
    })
  }

  /** Makes all changes so far durable. Space that they gave up may be used again. */
  commit(): void {
    this.#guarded(() => {
      this.journal.commit()
      this.space.reuse()
    })
  }

  /**
   * The same; nothing in the log counts any more afterwards, so that space of metadata may be used for something else.
   */
  settle(): void {
    this.#guarded(() => {
      this.journal.settle()
      this.space.reuse()
    })
  }

  /** Asks for the unused end of the file to be cut off even if this session gave nothing up. */
  cutEnd(): void {
    this.#cutsEnd = true
  }

  /** Brings everything to its place and empties the log. The file is not closed. */
  end(): void {
    if (!this.#begun || this.#failure !== undefined) return
    this.#guarded(() => {
      this.journal.checkpoint()
      this.space.reuse()
      this.#header.update({ logGuid: nilUuid })
      this.#trim()
      this.#begun = false
    })
  }

  #open(changesData: boolean): void {
    const size = roundUp(Math.max(this.space.end, this.file.size), mebibyte)
    if (this.file.growable && size > this.file.size) this.file.truncate(size)
    const area = this.#logArea()
    const log = new LogWriter(this.file, area, randomUuid())
    log.start()
    this.#header.update({
      fileWriteGuid: randomUuid(),
      ...(changesData ? { dataWriteGuid: this.#nextIdentity } : {}),
      logGuid: log.guid,
      logVersion: 0,
      logOffset: BigInt(area.position),
      logLength: area.length,
    })
    this.journal.start(log)
  }

  /** The log's place; a new one where the old is of no use. */
  #logArea(): Area {
    const { logOffset, logLength } = this.#layer.structures.header
    if (logLength > 0 && logLength % mebibyte === 0 && logLength <= maximumLogLength)
      return { name: 'log', position: logOffset, length: logLength }
    if (logLength > 0) this.space.release(logOffset, logLength)
    return { name: 'log', position: this.space.allocate(mebibyte).position, length: mebibyte }
  }

  /** Cuts off what is not in use any more at the file's end. No log counts: none expects the file to be longer. */
  #trim(): void {
    const { usedEnd, gaveUp } = this.space
    if (!(gaveUp || this.#cutsEnd) || !this.file.growable || usedEnd >= this.file.size) return
    this.file.truncate(usedEnd)
    this.file.flush()
  }

  #guarded(act: () => void): void {
    if (this.#failure !== undefined) throw this.#failure.cause
    try {
      act()
    } catch (cause) {
      this.#failure = { cause }
      throw cause
    }
  }
}

/** What of the file is in use: log, regions, blocks. @throws ImageError corrupt E_OVERLAP, E_BAT_RANGE */
function spaceOf(file: ByteStore, layer: OpenLayer): SpaceMap {
  const {
    table,
    structures: { header, regions, geometry },
  } = layer
  const space = new SpaceMap(file)
  if (header.logLength > 0) space.claim('log', header.logOffset, header.logLength)
  for (const region of regions.regions) space.claim(region.name, region.position, region.length)
  table.eachPlace((kind, index, position) => {
    if (kind === 'payload') {
      table.checkPlace(index, position)
      space.claim(`block ${index}`, position, geometry.blockSize)
    } else space.claim(`sector bitmap of chunk ${index}`, position, mebibyte)
  })
  return space
}
