import { createHash } from 'node:crypto'
import { Recent } from '../../binary/recent.js'
import { eachPiece } from '../../block/pieces.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import { corrupt, printable, reference, type HostPath, type ImageError, type Label } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { above, inFolder, realFolder } from '../../sys/host-path.js'
import { blobContent } from './blob.js'
import { chunkDigestLength } from './structs.js'

const keptBytes = 16 * 1024 * 1024
/** Namespaces nest: the store lies this many folders above an index at most. */
const mostFolders = 24

/** The folder of chunks of the datastore that an index lies in; undefined where there is none. */
export function chunkFolder(index: HostPath): string | undefined {
  let folder = realFolder(index)
  for (let step = 0; step < mostFolders; step++) {
    const chunks = inFolder(folder, '.chunks')
    // A link could lead anywhere.
    if (fs.lstatSync(chunks, { throwIfNoEntry: false })?.isDirectory() === true) return chunks
    const next = above(folder)
    if (next === folder) return undefined
    folder = next
  }
  return undefined
}

/** The chunks of a disk, a byte of it at the position of its offset: each is verified when it is read. */
export class ChunkStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly #folder: HostPath
  readonly #digests: Uint8Array
  readonly #chunkSize: number
  readonly #zero: string
  readonly #kept: Recent<Uint8Array>
  /** When the chunks that were read were changed last. */
  readonly #read = new Map<string, bigint>()

  constructor(
    name: Label,
    folder: HostPath,
    { digests, chunkSize, size }: { readonly digests: Uint8Array; readonly chunkSize: number; readonly size: number },
  ) {
    super()
    this.name = name
    this.size = size
    this.#folder = folder
    this.#digests = digests
    this.#chunkSize = chunkSize
    this.#zero = createHash('sha256').update(new Uint8Array(chunkSize)).digest('hex')
    this.#kept = new Recent(Math.max(2, Math.floor(keptBytes / chunkSize)), (chunk) => this.#verified(chunk))
  }

  /** Whether a chunk holds nothing but zeros: its digest says so. */
  isZero(chunk: number): boolean {
    return this.#digestOf(chunk) === this.#zero
  }

  /** What keeps the chunk from being read, as far as can be seen without reading it. */
  problemOf(chunk: number): ImageError | undefined {
    if (this.isZero(chunk)) return undefined
    const digest = this.#digestOf(chunk)
    const stat = fs.lstatSync(this.#pathOf(digest), { throwIfNoEntry: false })
    if (stat?.isFile() === true) return undefined
    const what = stat === undefined ? 'is missing' : 'is no regular file'
    return reference('E_PART_MISSING', `${this.name}: chunk ${chunk}, ${digest}, ${what} in the datastore`, {
      details: { chunk, offset: chunk * this.#chunkSize },
      hint: 'Copy the whole datastore. proxmox-backup-manager verify lists the damage of one in use.',
    })
  }

  read(position: number, target: Uint8Array): void {
    eachPiece(position, target.length, this.#chunkSize, (chunk, within, done, length) => {
      const piece = target.subarray(done, done + length)
      if (this.isZero(chunk)) piece.fill(0)
      else piece.set(this.#kept.get(chunk).subarray(within, within + length))
    })
  }

  changed(): string | undefined {
    for (const [digest, time] of this.#read)
      if (fs.lstatSync(this.#pathOf(digest), { bigint: true, throwIfNoEntry: false })?.mtimeNs !== time)
        return `its chunk ${digest} changed`
    return undefined
  }

  [Symbol.dispose](): void {
    // Chunks are closed when they were read.
  }

  #digestOf(chunk: number): string {
    return Buffer.from(this.#digests.subarray(chunk * chunkDigestLength, (chunk + 1) * chunkDigestLength)).toString(
      'hex',
    )
  }

  #pathOf(digest: string): string {
    return inFolder(inFolder(this.#folder, digest.slice(0, 4)), digest)
  }

  #verified(chunk: number): Uint8Array {
    const problem = this.problemOf(chunk)
    if (problem !== undefined) throw problem
    const digest = this.#digestOf(chunk)
    const path = this.#pathOf(digest)
    const { size, mtimeNs } = fs.lstatSync(path, { bigint: true })
    // Zstandard makes little more of what it cannot compress.
    if (size > BigInt(2 * this.#chunkSize)) throw corrupt('E_HEADER', `${printable(path)} has ${size} bytes`)
    const content = blobContent(fs.readFileSync(path), printable(path), this.#chunkSize)
    const expected = Math.min(this.#chunkSize, this.size - chunk * this.#chunkSize)
    if (content.length < expected)
      throw corrupt('E_TRUNCATED', `${printable(path)} holds ${content.length} bytes, expected ${expected}`)
    if (createHash('sha256').update(content).digest('hex') !== digest)
      throw corrupt('E_CHECKSUM', `${printable(path)}: its content has another SHA-256 than its name says`, {
        details: { chunk, offset: chunk * this.#chunkSize },
      })
    this.#read.set(digest, mtimeNs)
    return content
  }
}
