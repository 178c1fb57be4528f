import type { Label } from '../errors.js'
import { ociOptionsOf } from '../remote/oci/environment.js'
import { OciStore } from '../remote/oci/oci-store.js'
import { parseOciReference, wantedManifest, type OciReference } from '../remote/oci/reference.js'
import { RegistryTarget } from './oci/registry-target.js'
import { otherId, type Location, type LocationId, type Scheme } from './location.js'

/** A disk in a registry of containers. What it names is not looked for there: it has no neighbours. */
class OciLocation implements Location {
  readonly scheme = 'oci'
  readonly kind = 'file'
  readonly id: LocationId
  readonly label: Label
  readonly name = undefined
  readonly place: string
  readonly #at: OciReference
  #member: string | undefined
  #note: string | undefined

  /** @throws ImageError usage E_OCI_URL. */
  constructor(readonly address: string) {
    this.#at = parseOciReference(address)
    const { registry, repository, member, label } = this.#at
    this.#member = member
    this.id = otherId('oci', registry, repository, wantedManifest(this.#at), member ?? '')
    this.place = otherId('oci', registry, repository, wantedManifest(this.#at))
    this.label = label
  }

  /** As it was asked for; once the layer is open, what it is called there. */
  get member(): string | undefined {
    return this.#member
  }

  get note(): string | undefined {
    return this.#note
  }

  store(): OciStore {
    const store = new OciStore(this.#at, ociOptionsOf(process.env))
    this.#member = store.member
    this.#note = store.note
    return store
  }

  upload(): RegistryTarget {
    return new RegistryTarget(this.#at, ociOptionsOf(process.env))
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }
}

export const ociScheme: Scheme = {
  id: 'oci',
  title: 'a disk in a registry of containers',
  matches: (address) => /^(?:oci|docker):\/\//i.test(address),
  locate: (address) => new OciLocation(address),
}
