import type { FileStore } from '../../block/file-store.js'
import { createScratchStore } from '../../block/scratch-store.js'
import type { Note } from '../../block/types.js'
import { grouped, refused, stopIfAborted, targetError } from '../../errors.js'
import type { OciOptions } from '../../remote/oci/environment.js'
import type { OciReference } from '../../remote/oci/reference.js'
import { BlobUpload } from '../../remote/oci/blob-upload.js'
import { recordAnnotation } from '../../remote/image-note.js'
import { RegistryWriter } from '../../remote/oci/registry-writer.js'
import { temporaryFolder } from '../../sys/self.js'
import type { Upload, UploadedObject, UploadPlan } from '../upload.js'
import { archiveHead, archiveTail, diskNameIn } from './disk-archive.js'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const configType = 'application/vnd.oci.image.config.v1+json'
/** Not compressed: it is read by ranges then, and images compress better by themselves. */
const layerType = 'application/vnd.oci.image.layer.v1.tar'
/** What is read back at once of an image whose length was not known, in bytes. */
const pieceLength = 4 * 1024 * 1024
/**
 * How long what is on its way may take after an interruption, in milliseconds, where it is to be gone on with: some
 * registries refuse to go on behind a chunk that was cut.
 */
const grace = 4000

/** Begins to send an image. @throws ImageError target E_WRITE, E_WRITE_PERMISSION; those of a scratch file. */
export async function beginRegistryUpload(
  reference: OciReference & { readonly tag: string },
  options: OciOptions,
  plan: UploadPlan,
): Promise<Upload> {
  const { signal, earlier, save } = plan
  const writer = new RegistryWriter(reference, options, save === undefined ? signal : lateSignal(signal))
  try {
    const layer = await BlobUpload.begin(writer, save === undefined ? undefined : { earlier, save, signal })
    return new RegistryUpload(writer, layer, plan, options)
  } catch (error) {
    writer[Symbol.dispose]()
    throw error
  }
}

/** Aborts some time after another signal. */
function lateSignal(signal: AbortSignal | undefined): AbortSignal {
  const late = new AbortController()
  signal?.addEventListener('abort', () => setTimeout(() => late.abort(), grace).unref(), { once: true })
  return late.signal
}

/**
 * An image as one layer, which is sent while it is made; its name in the registry comes last. An image whose length is
 * not known before (a compressed one) goes through a scratch file: the length stands before its bytes.
 */
class RegistryUpload implements Upload {
  readonly #writer: RegistryWriter
  readonly #layer: BlobUpload
  readonly #plan: UploadPlan
  readonly #platform: string
  readonly #name: string
  #scratch: FileStore | undefined
  #position = 0
  #finished: string | undefined

  constructor(writer: RegistryWriter, layer: BlobUpload, plan: UploadPlan, { platform }: OciOptions) {
    this.#writer = writer
    this.#layer = layer
    this.#plan = plan
    this.#platform = platform ?? writer.ownPlatform
    this.#name = diskNameIn(plan.image?.format ?? 'raw')
    if (plan.size === undefined) this.#scratch = createScratchStore(temporaryFolder())
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    if (position !== this.#position) throw new RangeError(`byte ${position} comes where ${this.#position} was due`)
    this.#position += bytes.length
    if (this.#scratch !== undefined) {
      this.#scratch.write(position, bytes)
      return
    }
    if (position === 0) await this.#layer.write(archiveHead(this.#name, this.#plan.size ?? 0))
    await this.#layer.write(bytes)
  }

  async commit(size: number): Promise<UploadedObject> {
    const { size: planned = size } = this.#plan
    if (size !== planned || size !== this.#position) throw new TypeError(`${size} bytes, and ${planned} were planned`)
    if (this.#scratch !== undefined || size === 0) await this.#layer.write(archiveHead(this.#name, size))
    if (this.#scratch !== undefined) await this.#sendScratch(this.#scratch, size)
    await this.#layer.write(archiveTail(size))
    const layer = await this.#layer.finish()
    this.#finished = layer.digest
    stopIfAborted(this.#plan.signal)
    const config = await this.#config(layer.digest)
    const described = {
      schemaVersion: 2,
      mediaType: manifestType,
      config: { mediaType: configType, ...config },
      layers: [{ mediaType: layerType, ...layer }],
      annotations: this.#annotations,
    }
    const manifest = Buffer.from(JSON.stringify(described))
    const version = await this.#writer.putManifest(manifest, manifestType, () => this.#assertStanding())
    this.#close()
    return { size, version, notes: this.#notes }
  }

  /** Bytes of the layer, the archive around the image included. */
  get resumed(): number {
    return this.#layer.resumed
  }

  async abort(): Promise<string | undefined> {
    const { label } = this.#writer
    try {
      if (this.#finished !== undefined)
        return (
          `${label} is as it was. What was sent (${this.#finished}) has no name in the registry, which removes it ` +
          `when it collects its garbage.${this.#plan.save === undefined ? '' : ' The same command goes on with it.'}`
        )
      const left = await this.#layer.abort()
      if (typeof left === 'number')
        return `The registry keeps the first ${grouped(left)} bytes: run the same command again to go on.`
      return left === 'nothing' ? undefined : `The registry keeps what was sent until it removes it by itself.`
    } finally {
      this.#close()
    }
  }

  get #notes(): readonly Note[] {
    if (!this.#layer.startedAgain) return []
    return [
      {
        code: 'W_STARTED_AGAIN',
        message:
          `${this.#writer.label}: the registry no longer has the upload of an earlier run, or does not go on ` +
          'with it: it begins anew',
      },
    ]
  }

  /** What the image is to carry; without it the same disk is the same image. */
  get #annotations(): Readonly<Record<string, string>> | undefined {
    const note = this.#plan.note?.()
    return note === undefined ? undefined : { [recordAnnotation]: note }
  }

  #close(): void {
    this.#scratch?.[Symbol.dispose]()
    this.#scratch = undefined
    this.#writer[Symbol.dispose]()
  }

  async #sendScratch(scratch: FileStore, size: number): Promise<void> {
    const piece = new Uint8Array(pieceLength)
    for (let at = 0; at < size; at += pieceLength) {
      const bytes = piece.subarray(0, Math.min(pieceLength, size - at))
      scratch.read(at, bytes)
      await this.#layer.write(bytes)
    }
  }

  /** What an image must say of itself. There is no time in it: the same disk is the same image. */
  async #config(layer: string): Promise<{ readonly digest: string; readonly size: number }> {
    const [os, architecture, variant] = this.#platform.split('/')
    const rootfs = { type: 'layers', diff_ids: [layer] }
    const upload = await BlobUpload.begin(this.#writer)
    await upload.write(Buffer.from(JSON.stringify({ architecture, variant, os, config: {}, rootfs })))
    return await upload.finish()
  }

  /** The last look before the tag: registries know no conditions. */
  async #assertStanding(): Promise<void> {
    const { replaces } = this.#plan
    const { label } = this.#writer
    const now = await this.#writer.standing()
    if (now?.version === replaces?.version) return
    if (replaces === undefined)
      throw targetError('E_EXISTS', `the target ${label} exists by now`, { hint: 'Use --force to replace it.' })
    const what = now === undefined ? 'was removed' : 'was replaced'
    throw refused('E_TARGET_CHANGED', `the target ${label} ${what} by somebody else meanwhile`, {
      hint: 'Look at it, and start again.',
    })
  }
}
