import { DraftStore } from '../../block/draft-store.js'
import { FileStore } from '../../block/file-store.js'
import type { ByteStore } from '../../block/types.js'
import { unsupported } from '../../errors.js'
import type { FileReference } from '../../formats/driver.js'
import { isName, type Location } from '../../location/location.js'
import fs from '../../sys/host-fs.js'
import { folderPart, inFolder, realFolder, realPath } from '../../sys/host-path.js'

/** `file`: they are changed; `draft`: in memory; `copy`: what is repaired is a copy of the image, and they are not. */
export type RepairPlace = 'file' | 'draft' | 'copy'

/** The further files of an image that is repaired: those in its own folder, which it names by plain names. */
export class FurtherFiles implements Disposable {
  /** As long as it is repaired files are opened to be changed, then to be read. */
  repairing = true
  readonly #path: string
  readonly #place: RepairPlace
  readonly #guard: (path: string) => void
  readonly #drafts = new Map<string, LastingDraft>()
  readonly #stores: ByteStore[] = []

  /** @param guard asked before a file is changed. @throws ImageError refused */
  constructor(path: string, place: RepairPlace, guard: (path: string) => void) {
    this.#path = path
    this.#place = place
    this.#guard = guard
  }

  /** As of an OpenContext. @throws ImageError unsupported E_NO_REPAIR; refused. */
  open({ path: named }: FileReference, at?: Location): ByteStore | undefined {
    const file = this.#fileOf(named, at)
    if (file === undefined) return undefined
    if (this.#place === 'draft') {
      const known = this.#drafts.get(file)
      if (known !== undefined) return known
      const draft = new LastingDraft(FileStore.openRead(file))
      this.#drafts.set(file, draft)
      return draft
    }
    if (!this.repairing) {
      const store = FileStore.openRead(file)
      this.#stores.push(store)
      return store
    }
    if (this.#place === 'copy')
      throw unsupported('E_NO_REPAIR', `${this.#path} keeps its data in further files, which a copy does not have`, {
        hint: 'Use --in-place, or copy all of its files first.',
      })
    this.#guard(file)
    return FileStore.openWrite(file)
  }

  [Symbol.dispose](): void {
    for (const draft of this.#drafts.values()) draft.end()
    for (const store of this.#stores) store[Symbol.dispose]()
  }

  /** A regular file in the image's folder, by its real path. */
  #fileOf(named: string, at: Location | undefined): string | undefined {
    const file = at?.path ?? (isName(named) ? inFolder(folderPart(this.#path), named) : undefined)
    const real = file === undefined ? undefined : realPath(file)
    if (real === undefined || realFolder(real) !== realFolder(this.#path)) return undefined
    return fs.statSync(real).isFile() ? real : undefined
  }
}

/** Several open it, one after the other, and see what was changed. */
class LastingDraft extends DraftStore {
  override [Symbol.dispose](): void {
    // It ends with the repair.
  }

  end(): void {
    super[Symbol.dispose]()
  }
}
