import { ExtentReader } from '../../block/read.js'
import type { ByteStore, Extent, Fact, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { isImageError, printable, unsupported, type ImageError } from '../../errors.js'
import { chooseMember, type DiskImage, type Finding, type OpenContext } from '../driver.js'
import { assemble, type Assembled } from './assembly.js'
import { BackupSet } from './backup-set.js'
import type { BackedDescription } from './description.js'

/** A disk in an image of Macrium Reflect X, with the files of its set that it goes on from. */
export class MacriumImage implements DiskImage {
  readonly format = 'macrium'
  readonly subformat: string
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly notes: readonly Note[]
  readonly unreadable?: ImageError
  readonly #store: ByteStore
  readonly #set: BackupSet
  readonly #disk: BackedDescription
  readonly #assembled: Assembled | undefined
  readonly #reader = new ExtentReader(this)

  /** @throws ImageError corrupt; reference; unsupported; usage E_WHICH_MEMBER, E_NO_MEMBER. */
  constructor(store: ByteStore, context: OpenContext) {
    this.#store = store
    this.#set = new BackupSet(store, context)
    const { description } = this.#set.own
    try {
      const disks = description.disks.map((disk) => ({ name: `disk${disk.number}`, id: String(disk.number), disk }))
      this.#disk = chooseMember(disks, store.name, context.self.member).disk
      if (description.encryption !== undefined)
        this.unreadable = unsupported(
          'E_ENCRYPTED',
          `${store.name} is encrypted (${printable(description.encryption)})`,
          {
            hint: 'Restore it with Macrium Reflect, which asks for the password, to a virtual disk.',
          },
        )
      else this.#assembled = assemble(this.#set, this.#disk)
    } catch (error) {
      this.#set[Symbol.dispose]()
      throw error
    }
    this.subformat = description.kind
    this.capacity = this.#disk.size
    this.sectorSize = this.#disk.sectorSize
    this.grain = this.#assembled?.source.grain ?? 512
    this.notes = this.#assembled?.notes ?? []
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#whole().source.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  *prepare(offset: number, length: number): Work<void> {
    for (const partition of this.#whole().partitions) {
      const { start } = partition.described
      if (start < offset + length && offset < start + partition.capacity) yield* partition.prepare()
    }
  }

  describe(): Section[] {
    const { description } = this.#set.own
    const { time, computer, madeBy } = description
    const facts: Fact[] = [
      { name: 'disk', value: `disk${this.#disk.number}` },
      { name: 'disks', label: 'Disks in the backup', value: description.disks.length, unit: 'count' },
      { name: 'kind', value: description.kind },
      { name: 'imageId', label: 'Image id', value: printable(description.imageId) },
      { name: 'file', value: `${description.fileNumber}, backup ${description.increment} of its set` },
    ]
    if (time !== undefined && time < 8.64e12)
      facts.push({ name: 'savedAt', value: new Date(time * 1000).toISOString() })
    if (computer !== undefined) facts.push({ name: 'computer', value: printable(computer) })
    if (madeBy !== undefined) facts.push({ name: 'madeBy', value: `Macrium Reflect ${madeBy}` })
    facts.push({ name: 'table', value: this.#disk.table.toUpperCase() })
    facts.push({ name: 'encryption', value: printable(description.encryption ?? 'none') })
    return [
      { title: 'Macrium Reflect', facts },
      {
        title: 'Saved partitions',
        facts: this.#disk.partitions.map(({ number, filesystem, label, start, length, blockSize }) => ({
          name: `partition${number}`,
          label: `Partition ${number}`,
          value:
            `${length} bytes at ${start}, ${printable(filesystem ?? 'unknown')}` +
            `${label === undefined || label === '' ? '' : ` "${printable(label)}"`}, blocks of ${blockSize} bytes`,
        })),
      },
    ]
  }

  /** The indexes of all files that are needed: their blocks are verified by what reads the disk. */
  *check(): Work<void, Finding> {
    for (const partition of this.#whole().partitions)
      try {
        yield* partition.prepare()
      } catch (error) {
        if (!isImageError(error)) throw error
        const { code, message } = error
        yield { severity: 'error', code, structure: `partition ${partition.described.number}`, message }
      }
  }

  [Symbol.dispose](): void {
    this.#set[Symbol.dispose]()
    this.#store[Symbol.dispose]()
  }

  #whole(): Assembled {
    if (this.#assembled !== undefined) return this.#assembled
    throw this.unreadable ?? new TypeError('the disk was not put together')
  }
}
