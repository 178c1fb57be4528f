import { decodeTarHeader, tarBlock, type TarHeader } from '../../binary/tar-header.js'
import { roundUp } from '../../binary/integers.js'
import { paxRecords } from '../../block/tar-archive.js'

/** Long names and pax records are shorter than this, in bytes. */
const longestRecord = 65536
/** More than any image of disks has. */
const mostMembers = 1_000_000

/** Reads the names in a tar archive that comes as a stream. */
export class LayerNames {
  readonly #visit: (name: string, isFile: boolean) => void
  #block = Buffer.alloc(0)
  /** Bytes of content that are passed over. */
  #skip = 0
  /** What a record that comes before a header is of. */
  #record: TarHeader | undefined
  #longName: string | undefined
  #longSize: number | undefined
  #count = 0
  #ended = false

  /** @param visit is called with each file and folder. */
  constructor(visit: (name: string, isFile: boolean) => void) {
    this.#visit = visit
  }

  /** Whether the end of the archive was seen. */
  get ended(): boolean {
    return this.#ended
  }

  /** @throws SyntaxError where this is no tar archive. */
  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#ended;) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at)
        this.#skip -= passed
        at += passed
        continue
      }
      const wanted = this.#record === undefined ? tarBlock : roundUp(this.#record.size, tarBlock)
      const piece = bytes.subarray(at, at + wanted - this.#block.length)
      this.#block = Buffer.concat([this.#block, piece])
      at += piece.length
      if (this.#block.length === wanted) this.#complete()
    }
  }

  #complete(): void {
    const block = this.#block
    this.#block = Buffer.alloc(0)
    if (this.#record !== undefined) {
      this.#takeRecord(this.#record, block.subarray(0, this.#record.size))
      this.#record = undefined
      return
    }
    if (block.every((byte) => byte === 0)) {
      this.#ended = true
      return
    }
    const header = decodeTarHeader(block)
    if (header === undefined || ++this.#count > mostMembers) throw new SyntaxError('no tar archive')
    if ('xL'.includes(header.type)) {
      if (header.size === 0) return
      if (header.size > longestRecord) throw new SyntaxError('a name is too long')
      this.#record = header
      return
    }
    const isFile = header.type === '0'
    this.#skip = roundUp(isFile ? (this.#longSize ?? header.size) : header.size, tarBlock)
    if (header.type === 'g' || header.type === 'K') return
    this.#visit(this.#longName ?? Buffer.from(header.name).toString(), isFile)
    this.#longName = undefined
    this.#longSize = undefined
  }

  #takeRecord({ type }: TarHeader, bytes: Buffer): void {
    if (type === 'L') {
      this.#longName = bytes.toString().replace(/\0.*$/s, '')
      return
    }
    const records = paxRecords(bytes)
    const [name, size] = ['path', 'size'].map((key) => records.get(key))
    if (name !== undefined) this.#longName = Buffer.from(name).toString()
    const length = size === undefined ? undefined : Number(Buffer.from(size).toString())
    if (length !== undefined && (!Number.isSafeInteger(length) || length < 0)) throw new SyntaxError('no size')
    this.#longSize = length ?? this.#longSize
  }
}
