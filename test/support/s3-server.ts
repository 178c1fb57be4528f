import { createHash, createHmac } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { TestContext } from 'node:test'
import { answer } from './fault-server.js'
import { listening } from './ports.js'
import { requestBody } from './request-body.js'

/** A request that was answered. */
export interface S3Request {
  readonly method: string
  /** `part 3`, `complete`, `put`, … */
  readonly what: string
  readonly url: URL
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  bytes: number
}

/** What the server does instead of answering rightly; `undefined`: it answers. */
export type S3Fault = (request: S3Request, response: ServerResponse) => true | undefined

interface StoredUpload {
  readonly key: string
  readonly parts: Map<number, Buffer>
}

const accessKey = 'AKIDEXAMPLE'
export const secretKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'

/**
 * A strict store of one bucket in memory, after Amazon's documentation: signatures, digests of bodies, conditions on
 * making an object, sizes of parts. For guards and faults; real servers are in other tests.
 */
export class S3Server {
  readonly objects = new Map<string, { readonly bytes: Buffer; readonly tag: string }>()
  readonly uploads = new Map<string, StoredUpload>()
  readonly requests: S3Request[] = []
  /** What requests are met with, until it is taken away. */
  fault: S3Fault | undefined
  /** Whether making an object may have a condition; else it is refused with 501. */
  knowsConditions = true
  readonly env: Readonly<Record<string, string>>
  #count = 0

  private constructor(endpoint: string) {
    this.env = {
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: secretKey,
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      VDISK_S3_PART_MIB: '5',
    }
  }

  /** @param secure its key and certificate, for localhost; undefined: without TLS. */
  static async start(t: TestContext, secure?: https.ServerOptions): Promise<S3Server> {
    const web = secure === undefined ? http.createServer() : https.createServer(secure)
    const port = await listening(t, web)
    const server = new S3Server(secure === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`)
    web.on('request', (request: IncomingMessage, response: ServerResponse) => void server.#take(request, response))
    return server
  }

  /** How many requests of a kind there were, of which a number may follow. */
  count(what: string): number {
    return this.requests.filter((request) => request.what === what || request.what.startsWith(`${what} `)).length
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await requestBody(request)
    if (body === undefined) return
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', `http://${headers.host}`)
    const taken: S3Request = { method, what: kindOf(method, url), url, headers, body, bytes: 0 }
    this.requests.push(taken)
    if (this.fault?.(taken, response) === true) return
    const refusal = refusalOf(request, url, taken.body)
    if (refusal !== undefined) refuse(response, ...refusal)
    else this.#answer(taken, request, response)
  }

  #answer(taken: S3Request, request: IncomingMessage, response: ServerResponse): void {
    const { what, url, body } = taken
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
    const id = url.searchParams.get('uploadId') ?? ''
    const upload = this.uploads.get(id)
    if (id !== '' && upload?.key !== key) {
      refuse(response, 404, 'NoSuchUpload')
      return
    }
    if (what === 'begin') {
      const begun = `upload-${++this.#count}`
      this.uploads.set(begun, { key, parts: new Map() })
      xml(response, `<InitiateMultipartUploadResult><UploadId>${begun}</UploadId></InitiateMultipartUploadResult>`)
      return
    }
    if (what.startsWith('part ')) {
      upload?.parts.set(Number(url.searchParams.get('partNumber')), body)
      return void response.writeHead(200, { ETag: `"${md5(body)}"` }).end()
    }
    if (what === 'parts') {
      this.#listParts(upload, url, response)
      return
    }
    if (what === 'uploads') {
      this.#listUploads(response)
      return
    }
    if (what === 'abort') {
      this.uploads.delete(id)
      return void response.writeHead(204).end()
    }
    if (what === 'complete' && upload !== undefined) {
      this.#complete(id, upload, body, request, response)
      return
    }
    if (what === 'put') return void this.#make(key, { bytes: body, tag: md5(body) }, request, response)
    const object = this.objects.get(key)
    if (what === 'delete') {
      this.objects.delete(key)
      return void response.writeHead(204).end()
    }
    if (object === undefined) {
      refuse(response, 404, 'NoSuchKey')
      return
    }
    if (what === 'head')
      return void response.writeHead(200, { ETag: `"${object.tag}"`, 'Content-Length': object.bytes.length }).end()
    taken.bytes = answer(request, response, object.bytes, `"${object.tag}"`)
  }

  #listParts(upload: StoredUpload | undefined, url: URL, response: ServerResponse): void {
    const most = Math.min(2, Number(url.searchParams.get('max-parts')))
    const after = Number(url.searchParams.get('part-number-marker'))
    const left = [...(upload?.parts ?? [])].filter(([number]) => number > after).sort(([a], [b]) => a - b)
    const listed = left.slice(0, most)
    const rows = listed.map(
      ([number, bytes]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>&quot;${md5(bytes)}&quot;</ETag>` +
        `<Size>${bytes.length}</Size></Part>`,
    )
    const more = left.length > most
    xml(
      response,
      `<ListPartsResult><IsTruncated>${more}</IsTruncated>` +
        `<NextPartNumberMarker>${listed.at(-1)?.[0] ?? 0}</NextPartNumberMarker>${rows.join('')}</ListPartsResult>`,
    )
  }

  #listUploads(response: ServerResponse): void {
    const rows = [...this.uploads].map(
      ([id, { key }]) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>2026-11-30T08:00:00Z</Initiated></Upload>`,
    )
    xml(response, `<ListMultipartUploadsResult>${rows.join('')}</ListMultipartUploadsResult>`)
  }

  #complete(
    id: string,
    { key, parts }: StoredUpload,
    body: Buffer,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>"(\w+)"<\/ETag>/g)]
    const bytes = named.map(([, number]) => parts.get(Number(number)))
    if (bytes.some((part, index) => part === undefined || md5(part) !== named[index]?.[2])) {
      refuse(response, 400, 'InvalidPart')
      return
    }
    const present = bytes.filter((part) => part !== undefined)
    if (present.slice(0, -1).some(({ length }) => length < 5 * 1048576)) {
      refuse(response, 400, 'EntityTooSmall')
      return
    }
    const tag = `${createHash('md5')
      .update(Buffer.concat(present.map((part) => Buffer.from(md5(part), 'hex'))))
      .digest('hex')}-${present.length}`
    if (this.#make(key, { bytes: Buffer.concat(present), tag }, request, response)) this.uploads.delete(id)
  }

  #make(
    key: string,
    object: { readonly bytes: Buffer; readonly tag: string },
    { headers }: IncomingMessage,
    response: ServerResponse,
  ): boolean {
    const { 'if-none-match': none, 'if-match': match } = headers
    const standing = this.objects.get(key)
    if ((none ?? match) !== undefined && !this.knowsConditions) refuse(response, 501, 'NotImplemented')
    else if ((none !== undefined && standing !== undefined) || (match !== undefined && match !== `"${standing?.tag}"`))
      refuse(response, 412, 'PreconditionFailed')
    else {
      this.objects.set(key, object)
      xml(response, `<CompleteMultipartUploadResult><ETag>"${object.tag}"</ETag></CompleteMultipartUploadResult>`, {
        ETag: `"${object.tag}"`,
      })
      return true
    }
    return false
  }
}

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex')

function kindOf(method: string, { searchParams, pathname }: URL): string {
  const has = (name: string): boolean => searchParams.has(name)
  if (method === 'POST') return has('uploads') ? 'begin' : 'complete'
  if (method === 'PUT') return has('partNumber') ? `part ${searchParams.get('partNumber')}` : 'put'
  if (method === 'DELETE') return has('uploadId') ? 'abort' : 'delete'
  if (method === 'HEAD') return 'head'
  if (has('uploads') && pathname.split('/').length === 2) return 'uploads'
  return has('uploadId') ? 'parts' : 'get'
}

/** Status and code, where the signature (Signature Version 4) or a digest of the body is wrong. */
function refusalOf(request: IncomingMessage, url: URL, body: Buffer): [number, string] | undefined {
  const { headers, method = '' } = request
  const header = (name: string): string => String(headers[name] ?? '')
  const given =
    /^AWS4-HMAC-SHA256 Credential=(\w+)\/(\d+)\/([\w-]+)\/s3\/aws4_request, SignedHeaders=([\w;-]+), Signature=(\w+)/
  const [, id, day = '', region = '', names = '', signature] = given.exec(header('authorization')) ?? []
  if (header('authorization') === '') return [403, 'AccessDenied']
  if (id !== accessKey) return [403, 'InvalidAccessKeyId']
  // What comes by TLS need not be signed, where its MD5 is.
  const isCovered = (request.socket as Partial<TLSSocket>).encrypted === true && /\bcontent-md5\b/.test(names)
  const isUnsigned = header('x-amz-content-sha256') === 'UNSIGNED-PAYLOAD' && isCovered
  const digest = isUnsigned ? 'UNSIGNED-PAYLOAD' : createHash('sha256').update(body).digest('hex')
  if (header('x-amz-content-sha256') !== digest) return [400, 'XAmzContentSHA256Mismatch']
  if (header('content-md5') !== '' && header('content-md5') !== Buffer.from(md5(body), 'hex').toString('base64'))
    return [400, 'BadDigest']
  const query = [...url.searchParams]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join('&')
  const lines = names.split(';').map((name) => `${name}:${header(name)}\n`)
  const canonical = [method, url.pathname, query, lines.join(''), names, digest].join('\n')
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
  const signing = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${secretKey}`, day), region))
  const scope = `${day}/${region}/s3/aws4_request`
  const hashed = createHash('sha256').update(canonical).digest('hex')
  const wanted = hmac(signing, ['AWS4-HMAC-SHA256', header('x-amz-date'), scope, hashed].join('\n')).toString('hex')
  return signature === wanted ? undefined : [403, 'SignatureDoesNotMatch']
}

/** An error as S3 says it. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'Content-Type': 'application/xml', ...headers })
  response.end(`<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
}

function xml(response: ServerResponse, text: string, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { 'Content-Type': 'application/xml', ...headers }).end(`<?xml version="1.0"?>\n${text}`)
}
