import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, hints, printable } from '../../errors.js'
import type { CheckOptions, ContentSums, DiskImage, Finding } from '../driver.js'
import { StoredBlocks } from './blocks.js'
import { noChecksum, type ChecksumKind } from './checksums.js'
import { readHeader, type Header } from './header.js'
import { StripSums } from './strip-sums.js'
import { isVerifiable, Strips, VerifiedStore } from './strips.js'

/** A partclone image: the used blocks of a filesystem, one behind the other, and a bitmap of which they are. */
export class PartcloneImage extends ExtentSource implements DiskImage {
  readonly format = 'partclone'
  readonly subformat: string
  readonly capacity: number
  readonly grain: number
  readonly notes: Note[] = []
  readonly #header: Header
  readonly #blocks: StoredBlocks
  readonly #strips: Strips
  /** What blocks are read from: it verifies them, where that can be done for some alone. */
  readonly #data: ByteStore
  readonly #verified: VerifiedStore | undefined

  /** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_CHECKSUM, E_MAP, E_TRAILING_DATA; unsupported. */
  constructor(store: ByteStore) {
    super(store)
    const header = readHeader(store)
    const blocks = new StoredBlocks(store, header)
    const checksum = checksumOf(store, header, blocks)
    this.#header = { ...header, checksum }
    this.#blocks = blocks
    this.#strips = new Strips(header, blocks.dataStart, checksum.length)
    this.#verified = checksum === noChecksum ? undefined : new VerifiedStore(store, this.#header, this.#strips)
    this.#data = isVerifiable(this.#header, this.#strips) ? (this.#verified ?? store) : store
    this.subformat = `v${header.version}`
    this.capacity = header.deviceSize
    this.grain = header.blockSize
    this.#note()
  }

  protected runAt(offset: number, end: number): Extent {
    const { blockSize, blocks } = this.#header
    const block = Math.floor(offset / blockSize)
    if (block >= blocks) return { kind: 'absent', offset, length: end - offset }
    const { stored, end: endBlock, rank } = this.#blocks.runAt(block, Math.ceil((end - offset) / blockSize) + 1)
    const last = stored ? Math.min(endBlock, block + this.#strips.together(rank)) : endBlock
    const length = Math.min(end, last * blockSize) - offset
    if (!stored) return { kind: 'absent', offset, length }
    const position = this.#strips.position(rank) + (offset - block * blockSize)
    return { kind: 'data', offset, length, store: this.#data, position }
  }

  describe(): Section[] {
    const { filesystem, program, blockSize, blocks, used, checksum, blocksPerChecksum, rows } = this.#header
    return [
      {
        title: 'partclone',
        facts: [
          { name: 'filesystem', value: printable(filesystem) },
          ...(program === undefined ? [] : [{ name: 'madeBy', value: `partclone ${printable(program)}` }]),
          { name: 'blockSize', value: blockSize, unit: 'bytes' },
          { name: 'blocks', value: blocks, unit: 'count' },
          { name: 'storedBlocks', value: used, unit: 'count' },
          { name: 'stored', value: used * blockSize, unit: 'bytes' },
          { name: 'checksum', value: checksum.title },
          ...(checksum === noChecksum
            ? []
            : [{ name: 'blocksPerChecksum', value: blocksPerChecksum, unit: 'count' } as const]),
        ],
        fields: rows,
      },
    ]
  }

  /** Those that are not verified whenever something is read: of all of the disk. */
  contentSums(offset: number, length: number): ContentSums | undefined {
    const verified = this.#verified
    if (verified === undefined || this.#data === verified || offset > 0 || length < this.capacity) return undefined
    const { store, capacity } = this
    return new StripSums({
      store,
      capacity,
      verified,
      header: this.#header,
      blocks: this.#blocks,
      strips: this.#strips,
    })
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    if (!deep || this.#verified === undefined) return
    for (const item of this.#verified.faults())
      if ('error' in item)
        yield {
          severity: 'error',
          code: item.error.code,
          structure: 'blocks',
          position: item.position,
          message: item.error.message,
        }
      else yield item
  }

  #note(): void {
    const { filesystem, blocks, blockSize, deviceSize } = this.#header
    const covered = blocks * blockSize
    if (this.#blocks.odd > 0)
      this.notes.push({
        code: 'W_BITMAP',
        message:
          `${this.#blocks.odd} bytes of the bitmap are neither 0 nor 1: their blocks are taken as not stored, as ` +
          'partclone does',
      })
    if (covered < deviceSize)
      this.notes.push({
        code: 'W_NOT_COVERED',
        message:
          `the filesystem ends ${deviceSize - covered} bytes before the partition: those are not in the image, and ` +
          'read as zero' +
          (filesystem === 'NTFS' ? '. They hold the backup of the boot sector of NTFS' : ''),
      })
  }
}

/**
 * The kind of the checksums, by the length of the file: some builds of version 1 wrote eight bytes for each of four.
 * @throws ImageError corrupt E_TRUNCATED, E_TRAILING_DATA where the length fits none.
 */
function checksumOf({ name, size }: ByteStore, header: Header, { dataStart, count }: StoredBlocks): ChecksumKind {
  const endWith = ({ length }: ChecksumKind): number => new Strips(header, dataStart, length).end(count, length)
  const { checksum } = header
  const end = endWith(checksum)
  if (size === end) return checksum
  if (header.version === 1) {
    const wide: ChecksumKind = { ...checksum, length: 8 }
    if (size === endWith(wide)) return wide
  }
  const details = { expected: end, size }
  if (size < end)
    throw corrupt('E_TRUNCATED', `${name}: ${count} blocks end at byte ${end}, but the file ends at byte ${size}`, {
      details,
      hint: hints.incomplete,
    })
  throw corrupt(
    'E_TRAILING_DATA',
    `${name}: ${count} blocks end at byte ${end}, but the file goes on to byte ${size}`,
    {
      details,
    },
  )
}
