import type { Progress } from '../../engine/index.js'
import { isImageError, type HostPath } from '../../errors.js'
import { openFile } from '../../formats/open.js'
import { imagesOf } from '../../location/backup-set.js'
import fs from '../../sys/host-fs.js'
import { guardChange } from '../in-use/guard.js'
import { commitChain } from '../chain/commit.js'
import { relinkAhead, relinkChain } from '../chain/relink.js'
import { KnownBlocks } from '../imaging/blocks-file.js'
import type { Step } from '../transfer/step.js'
import { linksOf } from './links.js'
import { flushFolder, shownName } from './set.js'
import { rebind, settle } from './settle.js'
import { companionsOf } from '../imaging/companions.js'

/**
 * Takes an image out of a chain: it takes in what its child holds, and then gets the child's name. Its own point is
 * gone with the first step. The child, and all that need it, show the same at any moment: until the rename the child is
 * there over the changed image, and from the rename on the image itself, which has the same content then.
 */
export class Merge {
  readonly #folder: HostPath
  readonly #image: HostPath
  readonly #child: HostPath
  readonly #options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void }
  /** Points that read through the child and whose digests were those of their files. */
  #bound: readonly HostPath[] = []

  constructor(
    folder: HostPath,
    image: HostPath,
    child: HostPath,
    options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void },
  ) {
    this.#folder = folder
    this.#image = image
    this.#child = child
    this.#options = options
  }

  get steps(): Step[] {
    const [image, child] = [shownName(this.#image), shownName(this.#child)]
    return [
      { name: 'unlist', message: `take ${image} off the list of points`, run: () => this.#unlist() },
      {
        name: 'merge',
        message: `write what ${child} holds into ${image}, and compare both`,
        run: () => this.#commit(),
      },
      { name: 'rename', message: `give ${image} the name ${child}, in place of it`, run: () => this.#rename() },
    ]
  }

  #unlist(): void {
    // A point is on the list as long as it cannot be merged.
    for (const path of [this.#image, this.#child]) guardChange(path, 'changed', { ofSet: true, keepsChildren: true })
    this.#bound = this.#above().filter(isBound)
    for (const file of companionsOf(this.#image)) fs.removeFileSync(file)
    flushFolder(this.#folder)
  }

  async #commit(): Promise<void> {
    await commitChain(this.#child, { ...this.#options, ofSet: true, verify: true })
  }

  #rename(): void {
    const above = linksOf(imagesOf(this.#folder)).filter(({ parent }) => parent === this.#child)
    const linked = above.filter(({ path }) => relinkAhead(path, this.#child, this.#image, { ofSet: true }))
    fs.renameSync(this.#image, this.#child)
    flushFolder(this.#folder)
    for (const { path } of linked) relinkChain(path, this.#child, { ofSet: true })
    rebind(this.#bound)
    settle(linksOf(imagesOf(this.#folder)))
    flushFolder(this.#folder)
  }

  /** The child, and every image that reads through it. */
  #above(): HostPath[] {
    const links = linksOf(imagesOf(this.#folder))
    const found = [this.#child]
    for (const path of found) for (const link of links) if (link.parent === path) found.push(link.path)
    return found
  }
}

function isBound(path: HostPath): boolean {
  try {
    using known = new KnownBlocks(path)
    using opened = openFile(path)
    return known.isOf(opened.files)
  } catch (error) {
    if (!isImageError(error)) throw error
    return false
  }
}
