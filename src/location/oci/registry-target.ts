import { usage, type Label } from '../../errors.js'
import type { OciOptions } from '../../remote/oci/environment.js'
import type { OciReference } from '../../remote/oci/reference.js'
import type { StandingObject, Upload, UploadedObject, UploadPlan, UploadTarget } from '../upload.js'

/** A tag of a registry as a place for a containerDisk: an image with one file in its folder /disk. */
export class RegistryTarget implements UploadTarget {
  readonly packs = true
  readonly takesNote = true
  readonly resumes = true
  readonly fileName = 'disk.qcow2'
  readonly label: Label
  readonly #reference: OciReference & { readonly tag: string }
  readonly #options: OciOptions

  /** @throws ImageError usage E_TARGET, where no tag is named. */
  constructor(reference: OciReference, options: OciOptions) {
    const { label, tag, digest, member } = reference
    this.label = label
    if (tag === undefined || digest !== undefined || member !== undefined)
      throw usage('E_TARGET', `${label}: a new image gets a tag, and its digest follows from what is in it`, {
        hint: 'Write oci://REGISTRY/NAME:TAG.',
      })
    this.#reference = { ...reference, tag }
    this.#options = options
  }

  next(platform: string): string[] | undefined {
    if (platform !== 'kubevirt') return undefined
    return [`spec.volumes: containerDisk: image: ${this.label.replace(/^oci:\/\//, '')}`]
  }

  async look(): Promise<StandingObject | undefined> {
    const { RegistryWriter } = await import('../../remote/oci/registry-writer.js')
    using writer = new RegistryWriter(this.#reference, this.#options)
    return await writer.standing()
  }

  async begin(plan: UploadPlan): Promise<Upload> {
    const { beginRegistryUpload } = await import('./registry-upload.js')
    return await beginRegistryUpload(this.#reference, this.#options, plan)
  }

  async remove({ version }: UploadedObject): Promise<boolean> {
    const { RegistryWriter } = await import('../../remote/oci/registry-writer.js')
    using writer = new RegistryWriter(this.#reference, this.#options)
    return version !== undefined && (await writer.removeTag(version))
  }
}
