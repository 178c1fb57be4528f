import type * as Vdisk from 'vdisk'
import type { HttpAddress, Location, LocationId, UploadTarget } from 'vdisk'
import type { Settings } from './settings.js'
import { S3Target } from './target.js'

type Library = typeof Vdisk

/** An object of a store: whole, and replaced as a whole. */
export interface S3Object {
  readonly bucket: string
  readonly key: string
  readonly bucketUrl: string
  /** Requests are sent there. */
  readonly http: HttpAddress
  /** The object with an ending behind its key. @throws ImageError usage E_S3_ADDRESS where that is too long. */
  beside(ending: string): S3Object
}

/**
 * What `s3://bucket/key` means. The key is taken as it stands, as AWS's programs take it.
 * @throws ImageError usage E_S3_ADDRESS.
 */
export function objectOf(address: string, settings: Settings, library: Library): S3Object {
  const { printable, usage } = library
  const wrong = (why: string): Error =>
    usage('E_S3_ADDRESS', `${printable(address)} is no address of an object: ${why}`, {
      hint: 'For example s3://bucket/images/disk.qcow2',
    })
  const [, bucket, key] = /^s3:\/\/([^/]*)\/?(.*)$/is.exec(address) ?? []
  if (bucket === undefined || !/^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/.test(bucket)) throw wrong('the bucket is no name')
  if (key === undefined || key === '' || key.endsWith('/')) throw wrong('it names no object')
  if (Buffer.byteLength(key) > 1024) throw wrong('keys have at most 1,024 bytes')
  // Every program on the way takes them for folders.
  if (key.split('/').some((part) => part === '.' || part === '..'))
    throw wrong('. and .. in keys are taken away on the way')
  if (Buffer.from(key).toString() !== key) throw wrong('it is not UTF-8')
  const label = printable(`s3://${bucket}/${key}`)
  const signer = {
    module: new URL('./signer.js', import.meta.url).href,
    data: { region: settings.region, credentials: settings.credentials },
  }
  const ofBucket = bucketUrl(bucket, settings)
  const http = { url: `${ofBucket}/${encoded(key)}`, label, signer }
  const beside = (ending: string): S3Object => objectOf(`${address}${ending}`, settings, library)
  return { bucket, key, bucketUrl: ofBucket, http, beside }
}

/** The address of a bucket, without a slash at its end. */
function bucketUrl(bucket: string, { endpoint, region, isPathStyle }: Settings): string {
  const base = endpoint ?? `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
  // No certificate is good for a bucket with dots in front of the host.
  if (isPathStyle || /[.A-Z_]/.test(bucket)) return `${base}/${bucket}`
  const { protocol, host, pathname } = new URL(base)
  return `${protocol}//${bucket}.${host}${pathname.replace(/\/$/, '')}`
}

/** A key in an address: what Signature Version 4 demands is more than encodeURIComponent does. */
function encoded(key: string): string {
  return encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

export class S3Location implements Location {
  readonly scheme = 's3'
  readonly kind = 'file'
  readonly id: LocationId
  readonly label
  readonly name: string | undefined
  readonly place: string
  readonly #library: Library
  readonly #settings: Settings
  readonly #object: S3Object

  constructor(
    readonly address: string,
    settings: Settings,
    library: Library,
  ) {
    this.#library = library
    this.#settings = settings
    this.#object = objectOf(address, settings, library)
    const { http, key } = this.#object
    this.label = http.label
    this.name = key.split('/').at(-1)
    this.id = library.otherId('http', http.url)
    const { origin, pathname } = new URL(http.url)
    this.place = origin + pathname
  }

  store(): Vdisk.HttpStore {
    const { HttpStore, httpOptions } = this.#library
    return new HttpStore(this.#object.http, { ...httpOptions(process.env), headers: undefined })
  }

  beside(ending: string): S3Location {
    return new S3Location(`${this.address}${ending}`, this.#settings, this.#library)
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }

  upload(): UploadTarget {
    return new S3Target(this.#object, this.#settings, this.#library)
  }
}
