import type { Label } from '../errors.js'
import { parseHttpAddress, type HttpAddress } from '../remote/http/address.js'
import { PageBlobTarget } from './azure/page-blob-target.js'
import { signedAddress } from '../remote/azure/signed-address.js'
import { optionsOf } from '../remote/http/environment.js'
import { HttpStore } from '../remote/http/http-store.js'
import type { UploadTarget } from './upload.js'
import { otherId, type Location, type LocationId, type Scheme } from './location.js'
import { percentText } from '../sys/percent.js'

/** A file of a web server. What it names is not looked for on the network: it has no neighbours. */
class HttpLocation implements Location {
  readonly scheme = 'http'
  readonly kind = 'file'
  readonly id: LocationId
  readonly label: Label
  readonly name: string | undefined
  readonly place: string
  /** Of a blob of Azure's storage. Web servers give files out, and take none. */
  readonly upload: (() => UploadTarget) | undefined
  /** Of an address that ends with the name of the file: a signature is good for that file alone. */
  readonly beside: ((ending: string) => HttpLocation) | undefined
  readonly #at: HttpAddress
  #note: string | undefined

  /** @throws ImageError usage E_HTTP_URL. */
  constructor(readonly address: string) {
    this.#at = parseHttpAddress(address)
    const signed = signedAddress(new URL(this.#at.url))
    if (signed !== undefined) this.upload = () => new PageBlobTarget(this.#at, signed.isManagedDisk)
    this.id = otherId('http', signed?.identity ?? this.#at.url)
    this.label = this.#at.label
    this.name = lastName(this.#at.url)
    this.place = serverPlace(this.#at.url)
    if (!/[?#]/.test(address)) this.beside = (ending) => new HttpLocation(address + ending)
  }

  get note(): string | undefined {
    return this.#note
  }

  store(): HttpStore {
    const store = new HttpStore(this.#at, optionsOf(process.env))
    this.#note = store.note
    return store
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }
}

/** The server and path of an address. */
function serverPlace(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}

/** The last part of an address's path: a format has its extension there. */
function lastName(url: string): string | undefined {
  const name = new URL(url).pathname.split('/').at(-1) ?? ''
  return name === '' ? undefined : percentText(name)
}

export const httpScheme: Scheme = {
  id: 'http',
  title: 'a file of a web server',
  matches: (address) => /^https?:\/\//i.test(address),
  locate: (address) => new HttpLocation(address),
}
