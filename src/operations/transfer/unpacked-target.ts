import { FileStore } from '../../block/file-store.js'
import type { BlockSource } from '../../block/types.js'
import { scanChunk } from '../../engine/chunk.js'
import { Growth } from '../../engine/growth.js'
import { addWrite, writeAll, type Write } from '../../engine/write.js'
import type { Progress, RateLimit } from '../../engine/index.js'
import { stopIfAborted } from '../../errors.js'
import type { UnsizedContent } from '../../formats/member-file.js'
import { HeldFolder } from '../../location/folder.js'
import { partialName, removePartial } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { folderPart, inFolder, lastPart } from '../../sys/host-path.js'
import { commonMode, type ReadFile, type TargetPlace, type WrittenFile } from './target.js'

/** Bytes that are decoded at a time, and how many such pieces are on their way. */
const pieceLength = 1048576
const piecesUnderWay = 4
/** Zeros of this many bytes become holes, as in a copy. */
const unit = 65536

export interface UnpackOptions {
  /** Whether to wait until the medium has everything; default yes. */
  readonly flush?: boolean
  readonly rate?: RateLimit
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/**
 * A raw disk whose size only decoding shows, unpacked where a raw target is to stand. It becomes that target where the
 * target is to hold just this disk; it is read like any other file where not, and removed in the end.
 */
export class UnpackedTarget implements Disposable {
  readonly #placeFor: (sources: readonly ReadFile[]) => TargetPlace
  readonly #options: UnpackOptions
  #place: TargetPlace | undefined
  #file: UnpackedFile | undefined

  /** @param placeFor checks the target, given the files that are read. @throws ImageError as checkTarget. */
  constructor(placeFor: (sources: readonly ReadFile[]) => TargetPlace, options: UnpackOptions) {
    this.#placeFor = placeFor
    this.#options = options
  }

  /** Takes all of the content. @throws ImageError target; as decoding; aborted. */
  async take(content: UnsizedContent): Promise<FileStore> {
    const found = content.descriptor === undefined ? [] : [fs.fstatSync(content.descriptor, { bigint: true })]
    const place = this.#placeFor(found.map(({ dev: device, ino: inode }) => ({ path: content.name, device, inode })))
    this.#place = place
    const mode = commonMode(found.map((one) => Number(one.mode) % 0o1000))
    const file = new UnpackedFile(place, mode, this.#options.flush !== false)
    this.#file = file
    file.written = await unpackInto(file.store, content, this.#options)
    return file.store
  }

  /** Where it was begun. */
  get place(): TargetPlace | undefined {
    return this.#place
  }

  /** The file, where it holds this disk and nothing else. */
  of(disk: BlockSource): UnpackedFile | undefined {
    const file = this.#file
    return file !== undefined && isAllOf(disk, file.store) ? file : undefined
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]()
  }
}

/** A complete disk under a partial name in the folder of the target. */
class UnpackedFile implements WrittenFile, Disposable {
  readonly store: FileStore
  /** The name that it has for now. */
  readonly present: string
  /** Bytes that were written into it. */
  written = 0
  readonly #folder: HeldFolder
  #isLeft = false

  /** @throws ImageError target. */
  constructor({ path }: TargetPlace, mode: number, durable: boolean) {
    this.present = partialName(lastPart(path))
    this.#folder = new HeldFolder(folderPart(path))
    try {
      const shown = inFolder(this.#folder.path, this.present)
      this.store = FileStore.create(this.#folder.at(this.present), durable, shown, mode)
    } catch (error) {
      this.#folder[Symbol.dispose]()
      throw error
    }
  }

  leave(): FileStore {
    this.#isLeft = true
    return this.store
  }

  [Symbol.dispose](): void {
    if (!this.#isLeft) {
      try {
        this.store[Symbol.dispose]()
      } catch {
        // Of a file that goes away it does not matter what was not written.
      }
      removePartial(this.#folder.at(this.present), inFolder(this.#folder.path, this.present))
    }
    this.#folder[Symbol.dispose]()
  }
}

/** Whether a disk is all the bytes of a file, from the first to the last. */
function isAllOf(disk: BlockSource, { size, fd }: FileStore): boolean {
  if (disk.capacity !== size || size === 0) return false
  let source = disk
  for (;;) {
    const extent = source.extentAt(0, size)
    if (extent.kind !== 'data' || extent.position !== 0 || extent.length !== size || extent.store.size !== size)
      return false
    if (extent.store.fd === fd) return true
    if (extent.store.source === undefined) return false
    source = extent.store.source
  }
}

/** Decodes in order, and writes what was decoded meanwhile. @returns how many bytes were written. */
async function unpackInto(
  store: FileStore,
  content: UnsizedContent,
  { rate, signal, onProgress }: UnpackOptions,
): Promise<number> {
  const growth = new Growth()
  const lanes = Array.from({ length: piecesUnderWay }, () => ({
    bytes: new Uint8Array(new SharedArrayBuffer(pieceLength)),
    writing: Promise.resolve(),
  }))
  let written = 0
  let size = 0
  try {
    for (let count = pieceLength; count === pieceLength;) {
      const lane = lanes[(size / pieceLength) % lanes.length]
      if (lane === undefined) throw new RangeError(`no memory for the piece at ${size}`)
      await lane.writing
      stopIfAborted(signal)
      await rate?.take(pieceLength, signal)
      count = await content.fetchUpTo(size, lane.bytes)
      const writes: Write[] = []
      for (const { at, length } of scanChunk(lane.bytes, count, unit)) {
        growth.before(store, size + at, length, 0)
        addWrite(writes, { store, position: size + at, at, length })
        written += length
      }
      lane.writing = writeAll(writes, lane.bytes)
      // Met when it is this lane's turn again, or at the end.
      lane.writing.catch(() => undefined)
      size += count
      onProgress?.({ phase: 'unpack', ...content.progress })
    }
    await Promise.all(lanes.map(({ writing }) => writing))
    growth.finish()
    store.truncate(size)
    return written
  } finally {
    // Nothing is under way any more when the file is closed.
    await Promise.allSettled(lanes.map(({ writing }) => writing))
  }
}
