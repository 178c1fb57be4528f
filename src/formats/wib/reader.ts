import { ExtentReader } from '../../block/read.js'
import type { BlockSource, ByteStore, Extent, Note, Section } from '../../block/types.js'
import { finish, type Work } from '../../block/work.js'
import { corrupt, isImageError, printable, reference, type ImageError } from '../../errors.js'
import { chooseMember, type CheckOptions, type DiskImage, type Finding, type OpenContext } from '../driver.js'
import { assemble, groupsOf, type Assembled, type BackedDisk } from './assembly.js'
import { lacksOf } from './lacks.js'
import { listedVolumes, tableOf } from './volumes.js'

const longestSpecs = 16 * 1024 * 1024
const mostVolumes = 128

/** Whether a file of a backup is one of its virtual disks. */
export function isVirtualDisk(name: string): boolean {
  return /\.vhdx?$/i.test(name)
}

/** A folder `Backup YYYY-MM-DD HHMMSS` of a Windows Image Backup: the disk of the machine, or one of its volumes. */
export class WindowsBackup implements DiskImage {
  readonly format = 'wib'
  readonly subformat: string
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly notes: readonly Note[]
  readonly #store: ByteStore
  readonly #disks: BackedDisk[] = []
  readonly #source: BlockSource
  readonly #assembled: Assembled | undefined
  /** The volumes that are listed, and where they were mounted; undefined where the list is damaged. */
  readonly #listed: ReadonlyMap<string, string> | undefined
  readonly #reader = new ExtentReader(this)

  /** @param store of BackupSpecs.xml. @throws ImageError usage E_WHICH_MEMBER, E_NO_MEMBER; corrupt; reference. */
  constructor(store: ByteStore, context: OpenContext) {
    this.#store = store
    const { self } = context
    try {
      if (store.size > longestSpecs) throw corrupt('E_BACKUP', `${store.name} has ${store.size} bytes`)
      const specs = new Uint8Array(store.size)
      store.read(0, specs)
      this.#listed = listOf(specs)
      this.#openAll(context)
      const chosen = this.#choose(self.member)
      this.#source = chosen.source
      this.#assembled = chosen.assembled
    } catch (error) {
      for (const { image } of this.#disks) image[Symbol.dispose]()
      throw error
    }
    this.subformat = this.#assembled?.kind ?? 'volume'
    this.capacity = this.#source.capacity
    this.sectorSize = this.#source.sectorSize
    this.grain = this.#source.grain
    this.notes = [...(this.#assembled?.notes ?? []), ...this.#disks.flatMap(({ image }) => image.notes)]
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#source.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    const parts = this.#assembled?.parts ?? []
    return [
      {
        title: 'Windows Image Backup',
        facts: [
          { name: 'virtualDisks', value: this.#disks.length, unit: 'count' },
          ...(this.#assembled === undefined
            ? []
            : [{ name: 'table', value: `${this.#assembled.kind.toUpperCase()}, made anew` }]),
          ...parts.map(({ start, length, file, volume }, index) => {
            const point = this.#listed?.get(volume ?? '') ?? ''
            const place = point === '' ? '' : `${printable(point)} `
            return {
              name: `volume${index + 1}`,
              label: `volume ${index + 1}`,
              value: `${place}${length} bytes at ${start}, ${printable(file)}`,
            }
          }),
        ],
      },
    ]
  }

  *check(options: CheckOptions = {}): Work<void, Finding> {
    for (const { file, image } of this.#disks) {
      try {
        for (const item of image.check(options))
          if ('severity' in item)
            yield { ...item, structure: `${printable(file)}: ${item.structure}`, position: undefined }
          else yield item
      } catch (error) {
        if (!isImageError(error)) throw error
        yield { severity: 'error', code: error.code, structure: printable(file), message: error.message }
      }
    }
  }

  [Symbol.dispose](): void {
    for (const { image } of this.#disks) image[Symbol.dispose]()
    this.#store[Symbol.dispose]()
  }

  #openAll(context: OpenContext): void {
    const { self } = context
    const names = self.siblings().filter(isVirtualDisk).sort()
    if (names.length === 0)
      throw reference('E_PART_MISSING', `${this.#store.name}: no virtual disk lies beside it`, {
        hint: 'Copy the whole folder of the backup.',
      })
    if (names.length > mostVolumes) throw corrupt('E_BACKUP', `${this.#store.name}: ${names.length} virtual disks`)
    for (const name of names) {
      const place = self.sibling(name)
      if (place === undefined || place.behind !== undefined)
        throw reference('E_REFERENCE_NOT_ALLOWED', `${printable(name)} is a link, which may lead anywhere`, {
          hint: 'Copy what it leads to into the folder.',
        })
      const store = context.openReference({ role: 'extent', path: place.address }, place)
      const image =
        store === undefined || context.openInside === undefined
          ? undefined
          : finish(context.openInside(store, { name, formats: /x$/i.test(name) ? ['vhdx'] : ['vhd'] }))
      if (image === undefined) throw reference('E_PART_MISSING', `${printable(name)} cannot be opened`)
      const volume = /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/i.exec(name)?.[1]?.toLowerCase()
      this.#disks.push({ file: name, volume, image, table: undefined })
      this.#disks[this.#disks.length - 1] = { file: name, volume, image, table: tableOf(image) }
    }
  }

  /** The only disk of the machine, the one that was asked for, or one of the virtual disks alone. */
  #choose(wanted: string | undefined): { readonly source: BlockSource; readonly assembled?: Assembled } {
    const { name: label } = this.#store
    const groups = groupsOf(this.#disks)
    const lacks = lacksOf(label, this.#listed, this.#disks)
    const [only, ...others] = groups
    const [lack] = lacks
    if (wanted === undefined && others.length === 0) {
      if (lack !== undefined) throw lack
      if (only !== undefined) return together(only, label, [])
    }
    const members = [
      ...groups.map((group, index) => ({ name: `disk${index + 1}`, id: `disk${index + 1}`, group, image: undefined })),
      ...this.#disks.map(({ file, image }) => ({ name: file, id: file, group: undefined, image })),
    ]
    const { group, image } = chooseMember(members, label, wanted)
    return group === undefined ? { source: image } : together(group, label, lacks)
  }
}

/** @param lacks what the backup lacks: the disk was asked for by its name, so that each is a warning. */
function together(
  group: readonly BackedDisk[],
  label: string,
  lacks: readonly ImageError[],
): { source: BlockSource; assembled: Assembled } {
  const assembled = assemble(group, label)
  const notes = lacks.map(({ message }): Note => ({ code: 'W_NOT_SAVED', message }))
  return { source: assembled.source, assembled: { ...assembled, notes: [...assembled.notes, ...notes] } }
}

function listOf(specs: Uint8Array): ReadonlyMap<string, string> | undefined {
  try {
    return listedVolumes(specs)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return undefined
  }
}
