import { createHash, randomUUID } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { answer } from './fault-server.js'
import { listening } from './ports.js'
import { requestBody } from './request-body.js'

export interface OciRequest {
  readonly method: string
  /** `manifest v1`, `blob`, `upload`, `token`, … */
  readonly what: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  bytes: number
}

/** What the server does instead of answering rightly; `after`: it does what it was asked, and the answer is lost. */
export type OciFault = (request: OciRequest, response: ServerResponse) => true | 'after' | undefined

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

export const user = 'ann'
export const password = 'open sesame, please'
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

interface Layer {
  readonly mediaType: string
  readonly bytes: Uint8Array
  readonly annotations?: Readonly<Record<string, string>>
  readonly urls?: readonly string[]
  /** What the manifest says instead of the truth. */
  readonly digest?: string
  readonly size?: number
}

/**
 * A registry in memory, after the specification (OCI Distribution 1.1): one repository `vm/disk`, uploads in chunks
 * that have to fit, manifests whose parts have to be there. For faults and guards; a real one is in other tests.
 */
export class OciServer {
  readonly blobs = new Map<string, Buffer>()
  readonly manifests = new Map<string, { readonly bytes: Buffer; readonly type: string }>()
  readonly tags = new Map<string, string>()
  readonly uploads = new Map<string, Buffer>()
  readonly requests: OciRequest[] = []
  fault: OciFault | undefined
  /** `token`: a server of tokens gives those that are needed; each is good for so many requests. */
  login: 'none' | 'basic' | 'token' = 'none'
  tokenLasts = Infinity
  readonly host: string
  #token: string | undefined
  #left = 0

  private constructor(port: number) {
    this.host = `127.0.0.1:${port}`
  }

  static async start(t: TestContext): Promise<OciServer> {
    const listener = http.createServer()
    const server = new OciServer(await listening(t, listener))
    listener.on('request', (request, response) => void server.#take(request, response))
    return server
  }

  address(tag = 'v1'): string {
    return `oci://${this.host}/vm/disk${tag.startsWith('sha256:') ? '@' : ':'}${tag}`
  }

  count(what: string): number {
    return this.requests.filter((request) => request.what === what).length
  }

  /** Stores an image. @returns its digest. */
  put(layers: readonly Layer[], tag = 'v1'): string {
    const described = layers.map(({ mediaType, bytes, annotations, urls, digest, size }) => {
      this.blobs.set(digest ?? digestOf(bytes), Buffer.from(bytes))
      return { mediaType, digest: digest ?? digestOf(bytes), size: size ?? bytes.length, annotations, urls }
    })
    const config = Buffer.from('{}')
    this.blobs.set(digestOf(config), config)
    return this.putManifest(
      {
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: 2 },
        layers: described,
      },
      tag,
    )
  }

  putManifest(manifest: unknown, tag?: string): string {
    const bytes = Buffer.isBuffer(manifest) ? manifest : Buffer.from(JSON.stringify(manifest))
    const digest = digestOf(bytes)
    const type = (manifest as { readonly mediaType?: string }).mediaType ?? manifestType
    this.manifests.set(digest, { bytes, type })
    if (tag !== undefined) this.tags.set(tag, digest)
    return digest
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', `http://${this.host}`)
    const path = url.pathname.replace(/^\/v2\/vm\/disk\//, '')
    // What came of a chunk that was cut is kept, and said when it is asked for.
    const body = await requestBody(request, (bytes) => {
      const id = path.replace('blobs/uploads/', '')
      const before = this.uploads.get(id)
      if (before !== undefined && method === 'PATCH') this.uploads.set(id, Buffer.concat([before, bytes]))
    })
    if (body === undefined) return
    const taken: OciRequest = { method, what: kindOf(method, path), path, headers, body, bytes: 0 }
    this.requests.push(taken)
    const fault = this.fault?.(taken, response)
    if (fault === true) return
    if (fault === 'after') {
      this.#answer(taken, url, request, new http.ServerResponse(request))
      request.socket.destroy()
    } else this.#answer(taken, url, request, response)
  }

  #answer(taken: OciRequest, url: URL, request: IncomingMessage, response: ServerResponse): void {
    if (taken.what === 'token') {
      this.#giveToken(taken, response)
      return
    }
    if (!this.#isLetIn(taken)) {
      const how =
        this.login === 'basic'
          ? 'Basic realm="registry"'
          : `Bearer realm="http://${this.host}/token",service="test, with a comma",scope="repository:vm/disk:pull"`
      response.setHeader('WWW-Authenticate', how)
      refuse(response, 401, 'UNAUTHORIZED')
    } else if (taken.what.startsWith('manifest')) this.#manifest(taken, response)
    else if (taken.what === 'upload') this.#upload(taken, url, response)
    else this.#blob(taken, request, response)
  }

  #isLetIn({ headers: { authorization } }: OciRequest): boolean {
    if (this.login === 'none') return true
    if (this.login === 'basic') return authorization === basic
    return this.#token !== undefined && authorization === `Bearer ${this.#token}` && this.#left-- > 0
  }

  #giveToken({ headers }: OciRequest, response: ServerResponse): void {
    if (headers.authorization !== basic) {
      refuse(response, 401, 'UNAUTHORIZED')
      return
    }
    this.#token = randomUUID()
    this.#left = this.tokenLasts
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ token: this.#token }))
  }

  #manifest({ method, path, body, headers }: OciRequest, response: ServerResponse): void {
    const reference = path.replace('manifests/', '')
    if (method === 'PUT') {
      const named = JSON.parse(body.toString()) as { config: { digest: string }; layers: { digest: string }[] }
      if ([named.config, ...named.layers].some(({ digest }) => !this.blobs.has(digest))) {
        refuse(response, 400, 'MANIFEST_BLOB_UNKNOWN')
        return
      }
      const digest = digestOf(body)
      this.manifests.set(digest, { bytes: body, type: String(headers['content-type']) })
      this.tags.set(reference, digest)
      return void response.writeHead(201, { 'Docker-Content-Digest': digest, 'Content-Length': 0 }).end()
    }
    const digest = reference.includes(':') ? reference : this.tags.get(reference)
    const found = this.manifests.get(digest ?? '')
    if (digest === undefined || found === undefined) {
      refuse(response, 404, 'MANIFEST_UNKNOWN')
      return
    }
    if (method === 'DELETE') {
      if (reference === digest) {
        refuse(response, 405, 'UNSUPPORTED')
        return
      }
      this.tags.delete(reference)
      return void response.writeHead(202).end()
    }
    response.writeHead(200, {
      'Content-Type': found.type,
      'Docker-Content-Digest': digest,
      'Content-Length': found.bytes.length,
    })
    response.end(method === 'HEAD' ? undefined : found.bytes)
  }

  #blob(taken: OciRequest, request: IncomingMessage, response: ServerResponse): void {
    const digest = taken.path.replace('blobs/', '')
    const bytes = this.blobs.get(digest)
    if (bytes === undefined) {
      refuse(response, 404, 'BLOB_UNKNOWN')
      return
    }
    if (taken.method === 'HEAD') return void response.writeHead(200, { 'Content-Length': bytes.length }).end()
    taken.bytes = answer(request, response, bytes, `"${digest}"`)
  }

  #upload({ method, path, body, headers }: OciRequest, url: URL, response: ServerResponse): void {
    const id = path.replace(/^blobs\/uploads\/?/, '')
    if (method === 'POST') {
      const begun = randomUUID()
      this.uploads.set(begun, Buffer.alloc(0))
      this.#uploaded(begun, 202, response)
      return
    }
    const before = this.uploads.get(id)
    if (before === undefined) {
      refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN')
      return
    }
    if (method === 'DELETE') {
      this.uploads.delete(id)
      return void response.writeHead(204).end()
    }
    if (method === 'GET') {
      this.#uploaded(id, 204, response)
      return
    }
    const range = headers['content-range']
    if (method === 'PATCH' && range !== `${before.length}-${before.length + body.length - 1}`) {
      refuse(response, 416, 'BLOB_UPLOAD_INVALID')
      return
    }
    const now = Buffer.concat([before, body])
    this.uploads.set(id, now)
    if (method === 'PATCH') {
      this.#uploaded(id, 202, response)
      return
    }
    const digest = url.searchParams.get('digest') ?? ''
    if (digestOf(now) !== digest) {
      refuse(response, 400, 'DIGEST_INVALID')
      return
    }
    this.uploads.delete(id)
    this.blobs.set(digest, now)
    response.writeHead(201, { 'Docker-Content-Digest': digest, 'Content-Length': 0 }).end()
  }

  #uploaded(id: string, status: number, response: ServerResponse): void {
    const length = this.uploads.get(id)?.length ?? 0
    response.writeHead(status, {
      Location: `/v2/vm/disk/blobs/uploads/${id}?_state=opaque%2Fstate`,
      Range: `0-${Math.max(0, length - 1)}`,
      'Content-Length': 0,
    })
    response.end()
  }
}

const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

function kindOf(method: string, path: string): string {
  if (path === '/token') return 'token'
  if (path.startsWith('manifests/')) return `manifest ${method}`
  return path.startsWith('blobs/uploads/') ? 'upload' : 'blob'
}

/** An error as registries say it. */
export function refuse(response: ServerResponse, status: number, code: string): void {
  const text = JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] })
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(text)
}
