import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError, printable, usage, type Label } from '../../src/errors.js'
import { otherId, type Location, type LocationId, type Scheme } from '../../src/location/location.js'
import type { StandingObject, Upload, UploadedObject, UploadPlan, UploadTarget } from '../../src/location/upload.js'

interface BucketOptions {
  readonly isSparse?: boolean
  readonly resumes?: boolean
  /** Called before each piece is taken. */
  readonly onWrite?: (position: number, bytes: Uint8Array) => void
}

/** A server of objects in memory, and the scheme `mem://NAME` that leads to it. */
export class MemoryBucket {
  readonly objects = new Map<string, Buffer>()
  /** What was done, in order. */
  readonly calls: string[] = []
  readonly plans: UploadPlan[] = []
  /** Bytes that were sent. */
  sent = 0
  versions = 0
  options: BucketOptions

  constructor(options: BucketOptions = {}) {
    this.options = options
  }

  get scheme(): Scheme {
    return {
      id: 'mem',
      title: 'an object in memory',
      matches: (address) => address.startsWith('mem://'),
      locate: (address) => new MemoryLocation(this, address),
    }
  }
}

class MemoryLocation implements Location {
  readonly scheme = 'mem'
  readonly kind = 'file'
  readonly id: LocationId
  readonly label: Label
  readonly name: string
  readonly place: string

  constructor(
    readonly bucket: MemoryBucket,
    readonly address: string,
  ) {
    this.name = address.slice('mem://'.length).replace(/\?.*/, '')
    this.place = `mem:${this.name}`
    this.id = otherId('mem', address)
    this.label = printable(address)
  }

  store(): MemoryStore {
    const bytes = this.bucket.objects.get(this.name)
    if (bytes === undefined) throw usage('E_NOT_FOUND', `${this.label} is not there`)
    return new MemoryStore(bytes, this.address)
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }

  upload(): UploadTarget {
    const { bucket, name, label } = this
    const { isSparse, resumes } = bucket.options
    return {
      label,
      isSparse,
      resumes,
      look: () => {
        bucket.calls.push('look')
        const bytes = bucket.objects.get(name)
        const standing: StandingObject | undefined = bytes && { size: bytes.length, version: `"${bucket.versions}"` }
        return Promise.resolve(standing)
      },
      begin: (plan) => {
        bucket.calls.push('begin')
        bucket.plans.push(plan)
        return Promise.resolve(new MemoryUpload(bucket, name, plan))
      },
      remove: () => Promise.resolve(bucket.objects.delete(name)),
    }
  }
}

class MemoryUpload implements Upload {
  readonly #bytes = new MemoryStore()
  #next = 0

  constructor(
    readonly bucket: MemoryBucket,
    readonly name: string,
    readonly plan: UploadPlan,
  ) {
    plan.save?.({ name })
  }

  write(position: number, bytes: Uint8Array): Promise<void> {
    const { isSparse = false, onWrite } = this.bucket.options
    if (position < this.#next || (!isSparse && position !== this.#next)) throw new RangeError(`byte ${position} comes`)
    this.#next = position + bytes.length
    this.#bytes.write(position, bytes)
    try {
      onWrite?.(position, bytes)
    } catch (error) {
      if (!isImageError(error)) throw error
      return Promise.reject(error)
    }
    this.bucket.sent += bytes.length
    return Promise.resolve()
  }

  commit(size: number): Promise<UploadedObject> {
    this.bucket.calls.push('commit')
    this.#bytes.grown(size)
    this.bucket.objects.set(this.name, Buffer.from(this.#bytes.contents()))
    this.bucket.versions++
    return Promise.resolve({ size })
  }

  abort(): Promise<string | undefined> {
    this.bucket.calls.push('abort')
    return Promise.resolve(this.plan.save === undefined ? undefined : 'What was sent is kept.')
  }
}
