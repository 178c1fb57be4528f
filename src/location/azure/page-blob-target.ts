import { usage, type Label } from '../../errors.js'
import type { StandingObject, Upload, UploadedObject, UploadImage, UploadPlan, UploadTarget } from '../upload.js'
import type { HttpAddress } from '../../remote/http/address.js'
import { optionsOf } from '../../remote/http/environment.js'
import type { ReaderOptions } from '../../remote/http/reader-options.js'
import { markName, uploadState } from './upload-state.js'

/** Requests at once, where nothing else is said: pages are small, and servers are far away. */
const usualLanes = 8

/** A page blob of Azure's storage, or a disk that waits for its content, as a place for a fixed VHD. */
export class PageBlobTarget implements UploadTarget {
  readonly isSparse = true
  readonly resumes = true
  readonly usual = { vhd: { subformat: 'fixed' } } as const
  readonly takesNote: boolean
  readonly label: Label
  readonly #address: HttpAddress
  readonly #isManagedDisk: boolean

  constructor(address: HttpAddress, isManagedDisk: boolean) {
    this.label = address.label
    this.#address = address
    this.#isManagedDisk = isManagedDisk
    this.takesNote = !isManagedDisk
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

  next(platform: string): string[] | undefined {
    const generation = /^azure-gen([12])$/.exec(platform)?.[1]
    if (generation === undefined) return undefined
    if (this.#isManagedDisk) return ['az disk revoke-access --resource-group GROUP --name NAME']
    const { origin, pathname } = new URL(this.#address.url)
    return [
      `az disk create --resource-group GROUP --name NAME --source ${origin}${pathname} --os-type Linux ` +
        `--hyper-v-generation V${generation}`,
    ]
  }

  async look(earlier?: unknown): Promise<StandingObject | undefined> {
    using blob = await this.#open()
    const facts = await blob.facts()
    const begun = uploadState(earlier)
    if (facts === undefined) return undefined
    if (!this.#isManagedDisk) return begun !== undefined && facts.marks[markName] === begun.mark ? undefined : facts
    // A disk that waits for its content is there, and empty.
    const isEmpty = begun !== undefined || (await blob.pages(facts.size, 1)).length === 0
    return isEmpty ? undefined : facts
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
    const { PageBlob } = await import('../../remote/azure/blob.js')
    return new PageBlob(this.#address, this.#options)
  }
}
