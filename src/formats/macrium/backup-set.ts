import type { ByteStore } from '../../block/types.js'
import { corrupt, isImageError, printable, reference, usage, type ImageError } from '../../errors.js'
import type { OpenContext } from '../driver.js'
import { readDescription, type Description } from './description.js'

/** A file of a set of backups. */
export interface SetFile {
  readonly name: string
  readonly store: ByteStore
  readonly description: Description
}

const mostFiles = 4096
const extension = /\.mrimgx?$/i

/** The files of a set that lie beside the one that was named: they are looked for when one of them is needed. */
export class BackupSet implements Disposable {
  readonly own: SetFile
  readonly #context: OpenContext
  readonly #files = new Map<number, SetFile>()
  readonly #opened: ByteStore[] = []
  /** What is wrong with files beside it, which may be the ones that are needed. */
  readonly #damaged: string[] = []
  #isListed = false

  /** @throws ImageError as readDescription; usage E_WHICH_MEMBER for a part that has no index. */
  constructor(store: ByteStore, context: OpenContext) {
    this.own = { name: context.self.name ?? store.name, store, description: readDescription(store) }
    this.#context = context
    const { fileNumber, merged, split } = this.own.description
    for (const number of [fileNumber, ...merged]) this.#files.set(number, this.own)
    if (split) throw this.#notLast()
  }

  /** The file of a number. @throws ImageError reference E_PART_MISSING, E_PART_ORDER. */
  file(number: number): SetFile {
    const known = this.#files.get(number)
    if (known !== undefined) return known
    this.#list()
    const found = this.#files.get(number)
    if (found !== undefined) return found
    throw this.#missing(number)
  }

  /**
   * The files whose indexes make up that of the named one, the oldest first, which is whole; the named one is the last.
   * @throws ImageError reference E_PART_MISSING.
   */
  chain(): readonly SetFile[] {
    const chain = [this.own]
    if (!this.own.description.delta) return chain
    this.#list()
    for (let number = this.own.description.fileNumber - 1; number >= 0; number--) {
      const file = this.file(number)
      if (file === chain[0] || file.description.split) continue
      chain.unshift(file)
      if (!file.description.delta) return chain
    }
    throw reference('E_PART_MISSING', `${this.own.store.name}: the full backup that it goes on from is missing`, {
      hint: 'Put all files of the set into one folder.',
    })
  }

  [Symbol.dispose](): void {
    for (const store of this.#opened) store[Symbol.dispose]()
    this.#opened.length = 0
  }

  #list(): void {
    if (this.#isListed) return
    this.#isListed = true
    const { self } = this.#context
    const names = self.siblings().filter((name) => extension.test(name) && name !== self.name)
    if (names.length > mostFiles)
      throw corrupt('E_BACKUP', `${this.own.store.name}: ${names.length} images lie beside it`)
    for (const name of names.sort()) {
      const file = this.#open(name)
      if (file === undefined) continue
      for (const number of [file.description.fileNumber, ...file.description.merged]) this.#keep(number, file)
    }
  }

  #open(name: string): SetFile | undefined {
    const place = this.#context.self.sibling(name)
    if (place === undefined) return undefined
    if (place.behind !== undefined) {
      this.#damaged.push(`${place.label} is a link, which may lead anywhere`)
      return undefined
    }
    let store: ByteStore | undefined
    try {
      store = this.#context.openReference({ role: 'extent', path: place.address }, place)
      if (store === undefined) return undefined
      const description = readDescription(store)
      const { imageId, increment } = this.own.description
      if (description.imageId === imageId && description.increment <= increment) {
        this.#opened.push(store)
        return { name, store, description }
      }
    } catch (error) {
      if (!isImageError(error)) throw error
      this.#damaged.push(error.message)
    }
    store?.[Symbol.dispose]()
    return undefined
  }

  /** Of two files of one number, the one that is called as the backup recorded it is right. */
  #keep(number: number, file: SetFile): void {
    const other = this.#files.get(number)
    if (other === this.own) return
    if (other === undefined || this.#isRecorded(number, file)) this.#files.set(number, file)
    else if (!this.#isRecorded(number, other))
      throw reference(
        'E_PART_ORDER',
        `${printable(other.name)} and ${printable(file.name)} both are file ${number} of the set`,
        { hint: 'Leave only the files of one set in the folder.' },
      )
  }

  #isRecorded(number: number, { name }: SetFile): boolean {
    return this.#recorded(number)?.toLowerCase() === name.toLowerCase()
  }

  /** What a file was called when it was made. */
  #recorded(number: number): string | undefined {
    const partitions = this.own.description.disks.flatMap((disk) => disk.partitions)
    const path = partitions.map(({ history }) => history.get(number)).find((name) => name !== undefined)
    return path?.split(/[\\/]/).at(-1)
  }

  #missing(number: number): ImageError {
    const name = this.#recorded(number)
    const which = name === undefined ? `file ${number} of the set` : `file ${number} of the set, ${printable(name)},`
    const others = this.#damaged.length === 0 ? '' : ` (beside it: ${this.#damaged.join('; ')})`
    return reference('E_PART_MISSING', `${this.own.store.name}: ${which} is missing${others}`, {
      details: { file: number },
      hint: 'Put all files of the set into one folder.',
    })
  }

  #notLast(): ImageError {
    const { imageId, increment } = this.own.description
    this.#list()
    const last = [...this.#files.values()].find(
      ({ description }) => !description.split && description.imageId === imageId && description.increment === increment,
    )
    const { name } = this.own.store
    return last === undefined
      ? reference(
          'E_PART_MISSING',
          `${name} is a part of a split backup, and the last part, with its index, is missing`,
          {
            hint: 'Put all files of the set into one folder.',
          },
        )
      : usage('E_WHICH_MEMBER', `${name} is a part of a split backup: its index is in ${printable(last.name)}`, {
          hint: `Name that file: ${printable(last.name)}`,
        })
  }
}
