import { usage, type Label } from '../../errors.js'
import type {
  StandingObject,
  Upload,
  UploadedObject,
  UploadImage,
  UploadPlan,
  UploadTarget,
} from '../../location/upload.js'
import type { HttpAddress } from '../http/address.js'
import { optionsOf } from '../http/environment.js'
import type { ReaderOptions } from '../http/reader-options.js'

/** Requests at once, where nothing else is said: pages are small, and servers are far away. */
const usualLanes = 8

/** A page blob of Azure's storage, or a disk that waits for its content, as a place for a fixed VHD. */
export class PageBlobTarget implements UploadTarget {
  readonly isSparse = true
  readonly resumes = true
  readonly label: Label
  readonly #address: HttpAddress
  readonly #isManagedDisk: boolean

  constructor(address: HttpAddress, isManagedDisk: boolean) {
    this.label = address.label
    this.#address = address
    this.#isManagedDisk = isManagedDisk
  }

  /** @throws ImageError usage E_TARGET */
  check({ format, options }: UploadImage): void {
    if (format === 'vhd' && options['subformat'] === 'fixed') return
    throw usage(
      'E_TARGET',
      `${this.label}: Azure starts machines from fixed VHDs only, and this would be another image`,
      {
        hint: 'Use --for azure-gen2 or --for azure-gen1, or --to vhd --option subformat=fixed.',
      },
    )
  }

  async look(): Promise<StandingObject | undefined> {
    using blob = await this.#open()
    const facts = await blob.facts()
    if (facts === undefined || !this.#isManagedDisk) return facts
    // A disk that waits for its content is there, and empty.
    return (await blob.pages(facts.size, 1)).length === 0 ? undefined : facts
  }

  async begin(plan: UploadPlan): Promise<Upload> {
    const { beginUpload } = await import('./page-blob-upload.js')
    return await beginUpload(this.#address, this.#options, { ...plan, isManagedDisk: this.#isManagedDisk })
  }

  async remove({ version }: UploadedObject): Promise<boolean> {
    if (version === undefined || this.#isManagedDisk) return false
    using blob = await this.#open()
    return await blob.remove({ version })
  }

  get #options(): ReaderOptions {
    return optionsOf(process.env, usualLanes)
  }

  async #open() {
    const { PageBlob } = await import('./blob.js')
    return new PageBlob(this.#address, this.#options)
  }
}
