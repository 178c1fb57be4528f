import { ExtentReader } from '../../block/read.js'
import type { ByteStore, Extent, Fact, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { isImageError, printable } from '../../errors.js'
import { chooseMember, type CheckOptions, type DiskImage, type Finding, type OpenContext } from '../driver.js'
import { assembleDevice, assembleDisk, type Assembled, type PlacedPartition } from './assembly.js'
import { disksOf, savedFacts, type SavedDisk } from './disks.js'
import { BackupFolder } from './folder.js'
import type { PartitionSource } from './partition-source.js'

/** A disk of a folder of Clonezilla or Rescuezilla, put together. */
export class ClonezillaImage implements DiskImage {
  readonly format = 'clonezilla'
  readonly subformat: string
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #store: ByteStore
  readonly #folder: BackupFolder
  readonly #disks: readonly SavedDisk[]
  readonly #disk: SavedDisk
  readonly #assembled: Assembled
  readonly #reader = new ExtentReader(this)
  readonly #log: string | undefined

  /**
   * @param store the file that the folder is opened by.
   * @throws ImageError usage E_WHICH_MEMBER, E_NO_MEMBER; corrupt E_BACKUP; reference E_PART_MISSING; unsupported.
   */
  constructor(store: ByteStore, context: OpenContext) {
    this.#store = store
    this.#folder = new BackupFolder(context)
    try {
      this.#log = context.self.name === 'clonezilla-img' ? logHead(store) : undefined
      this.#disks = disksOf(this.#folder)
      this.#disk = this.#choose(context)
      const { name, kind } = this.#disk
      this.#assembled =
        kind === 'disk' ? assembleDisk(this.#folder, context, name) : assembleDevice(this.#folder, context, name)
    } catch (error) {
      this.#folder[Symbol.dispose]()
      throw error
    }
    const { source, sectorSize } = this.#assembled
    this.subformat = this.#disk.kind
    this.capacity = source.capacity
    this.sectorSize = sectorSize
    this.grain = source.grain
  }

  /** What the backup lacks, and what is known of the partitions that were opened by now. */
  get notes(): readonly Note[] {
    const { notes, partitions } = this.#assembled
    return [...notes, ...sourcesOf(partitions).flatMap((source) => source.notes)]
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#assembled.source.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  *prepare(offset: number, length: number): Work<void> {
    for (const { start, length: placed, source } of this.#assembled.partitions)
      if (start < offset + length && offset < start + placed) yield* source.prepare()
  }

  describe(): Section[] {
    const { at, by } = savedFacts(this.#folder, this.#log)
    const facts: Fact[] = [{ name: 'disk', value: printable(this.#disk.name) }]
    if (this.#disks.length > 1)
      facts.push({
        name: 'disks',
        label: 'In the folder',
        value: this.#disks.map(({ name }) => printable(name)).join(', '),
      })
    if (at !== undefined) facts.push({ name: 'savedAt', value: at })
    if (by !== undefined) facts.push({ name: 'savedBy', value: by })
    return [
      { title: 'Clonezilla', facts },
      {
        title: 'Saved partitions',
        facts: this.#assembled.saved.map(({ device, text }) => ({
          name: device,
          label: `/dev/${printable(device)}`,
          value: text,
        })),
      },
    ]
  }

  /** Partitions are unpacked to be judged: only with `deep`. */
  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    if (!deep) return
    for (const source of sourcesOf(this.#assembled.partitions)) {
      const structure = printable(source.device)
      try {
        const image = yield* source.prepare()
        for (const item of image.check({ deep }))
          if ('severity' in item) yield { ...item, structure: `${structure}: ${item.structure}`, position: undefined }
          else yield item
      } catch (error) {
        if (!isImageError(error)) throw error
        yield { severity: 'error', code: error.code, structure, message: error.message }
      }
    }
  }

  /** The checksums of partitions that are not verified where single blocks are read. */
  *verify(offset: number, length: number): Work<void, Finding> {
    const wanted = this.#assembled.partitions.filter(
      ({ start, length: placed }) => start < offset + length && offset < start + placed,
    )
    for (const source of sourcesOf(wanted)) {
      const image = yield* source.prepare()
      for (const item of image.verify())
        if ('severity' in item) yield { ...item, structure: `${printable(source.device)}: ${item.structure}` }
        else yield item
    }
  }

  [Symbol.dispose](): void {
    for (const source of sourcesOf(this.#assembled.partitions)) source[Symbol.dispose]()
    this.#folder[Symbol.dispose]()
    this.#store[Symbol.dispose]()
  }

  #choose({ self }: OpenContext): SavedDisk {
    const members = this.#disks.map((disk) => ({ name: disk.name, id: disk.name, disk }))
    const wanted = self.member
    const disks = this.#disks.filter(({ kind }) => kind === 'disk')
    const [only, ...others] = disks
    if (wanted === undefined && only !== undefined && others.length === 0) return only
    const { disk } = chooseMember(members, this.#label(self), wanted)
    return disk
  }

  #label({ path = '' }: OpenContext['self']): string {
    return printable(path.replace(/\/[^/]*$/, ''))
  }
}

/** Each image once: a logical volume may lie in several places. */
function sourcesOf(partitions: readonly PlacedPartition[]): readonly PartitionSource[] {
  return [...new Set(partitions.map(({ source }) => source))]
}

/** The beginning of the log, where it says when and by what it was saved. */
function logHead(store: ByteStore): string {
  const bytes = new Uint8Array(Math.min(4096, store.size))
  store.read(0, bytes)
  return Buffer.from(bytes).toString('utf8')
}
