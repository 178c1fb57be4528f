import { createHash } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { answer } from './fault-server.js'
import { listening, type Ending } from './ports.js'

const sector = 512
const mostPages = 4 * 1024 * 1024

/** A page blob as the service keeps it. */
export interface ServedBlob {
  readonly content: Buffer
  /** One byte a sector: whether it was written. */
  readonly written: Uint8Array
  marks: Readonly<Record<string, string>>
  version: number
  lease: string | undefined
}

export interface AzureRequest {
  readonly method: string
  readonly name: string
  /** `page`, `lease acquire`, `pagelist`, …; empty: the blob itself. */
  readonly what: string
  readonly headers: IncomingMessage['headers']
  readonly length: number
}

/** What the server does instead of answering rightly; `after`: it does what it was asked, and the answer is lost. */
export type AzureFault = (request: AzureRequest, response: ServerResponse, count: number) => true | 'after' | undefined

export interface AzureServer {
  /** Of a blob, with a signature. */
  readonly address: (name: string) => string
  readonly blobs: Map<string, ServedBlob>
  readonly requests: readonly AzureRequest[]
  fault: AzureFault | undefined
}

/** How many ranges one answer of a page list has. */
const rangesAtOnce = 3

/** The rules of Azure's page blobs, over memory: leases, versions, checksums, aligned ranges, page lists in parts. */
export async function azureServer(t: Ending): Promise<AzureServer> {
  const blobs = new Map<string, ServedBlob>()
  const requests: AzureRequest[] = []
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts)
      const url = new URL(request.url ?? '', 'http://localhost')
      const name = url.pathname
      const action = request.headers['x-ms-lease-action']
      const what = [url.searchParams.get('comp') ?? '', ...(action === undefined ? [] : [String(action)])].join(' ')
      const asked = { method: request.method ?? '', name, what, headers: request.headers, length: body.length }
      requests.push(asked)
      const fault = made.fault?.(asked, response, requests.length)
      if (fault === true) return
      if (fault === 'after') {
        handle(blobs, asked, url, body, request, new http.ServerResponse(request))
        request.socket.destroy()
      } else handle(blobs, asked, url, body, request, response)
    })
  })
  const port = await listening(t, server)
  const made: AzureServer = {
    address: (name) =>
      `http://127.0.0.1:${port}/account/disks/${name}?sv=2022-11-02&sp=rcwd&se=2099-01-01&sig=SEcRet%2Fsig%3D`,
    blobs,
    requests,
    fault: undefined,
  }
  return made
}

/** The name of a blob in {@link AzureServer.blobs}. */
export function blobName(name: string): string {
  return `/account/disks/${name}`
}

/** Sectors that were written. */
export function writtenSectors({ written }: ServedBlob): number {
  return written.reduce((sum, one) => sum + one, 0)
}

function handle(
  blobs: Map<string, ServedBlob>,
  { method, name, what, headers }: AzureRequest,
  url: URL,
  body: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const no = (...[status, code]: Refusal): void => {
    response.writeHead(status, { 'x-ms-error-code': code }).end()
  }
  const yes = (status: number, blob: ServedBlob, more: Record<string, string> = {}): void => {
    response.writeHead(status, { ETag: etagOf(blob), ...more }).end()
  }
  const blob = blobs.get(name)
  const refusal =
    url.searchParams.get('sig') !== 'SEcRet/sig='
      ? ([403, 'AuthenticationFailed'] as const)
      : blob === undefined
        ? undefined
        : guarded(blob, method, what, headers)
  if (refusal !== undefined) no(...refusal)
  else if (method === 'PUT' && what === '') {
    const made = madeBlob(blob, headers, body)
    if (isRefusal(made)) no(...made)
    else {
      blobs.set(name, made)
      yes(201, made)
    }
  } else if (blob === undefined) no(404, 'BlobNotFound')
  else if (method === 'HEAD')
    yes(200, blob, { ...blob.marks, 'Content-Length': String(blob.content.length), 'x-ms-blob-type': 'PageBlob' })
  else if (method === 'DELETE') {
    blobs.delete(name)
    yes(202, blob)
  } else if (what.startsWith('lease')) {
    const refused = changeLease(blob, what.slice('lease '.length), headers)
    if (refused === undefined) yes(200, blob)
    else no(...refused)
  } else if (what === 'metadata') {
    blob.marks = marksIn(headers)
    blob.version = nextVersion++
    yes(200, blob)
  } else if (what === 'page') {
    const refused = putPages(blob, headers, body)
    if (refused === undefined) yes(201, blob)
    else no(...refused)
  } else if (what === 'pagelist')
    response.writeHead(200, { ETag: etagOf(blob) }).end(pageListOf(blob, Number(url.searchParams.get('marker') ?? 0)))
  else {
    response.setHeader('x-ms-blob-type', 'PageBlob')
    for (const [mark, value] of Object.entries(blob.marks)) response.setHeader(mark, value)
    answer(request, response, blob.content, etagOf(blob))
  }
}

function madeBlob(
  blob: ServedBlob | undefined,
  headers: IncomingMessage['headers'],
  body: Buffer,
): ServedBlob | Refusal {
  const size = Number(headers['x-ms-blob-content-length'])
  if (blob !== undefined && headers['if-none-match'] === '*') return [409, 'BlobAlreadyExists']
  if (blob === undefined && headers['if-match'] !== undefined) return [412, 'ConditionNotMet']
  if (headers['x-ms-blob-type'] !== 'PageBlob' || size % sector !== 0 || body.length > 0)
    return [400, 'InvalidHeaderValue']
  return {
    content: Buffer.alloc(size),
    written: new Uint8Array(size / sector),
    marks: marksIn(headers),
    version: nextVersion++,
    lease: blob?.lease,
  }
}

function marksIn(headers: IncomingMessage['headers']): Record<string, string> {
  const marks = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith('x-ms-meta-') ? [[name, String(value)] as const] : [],
  )
  return Object.fromEntries(marks)
}

function isRefusal(made: ServedBlob | Refusal): made is Refusal {
  return Array.isArray(made)
}

type Refusal = readonly [status: number, code: string]
let nextVersion = 1

function etagOf({ version }: ServedBlob): string {
  return `"0x${version.toString(16)}"`
}

function guarded(
  blob: ServedBlob,
  method: string,
  what: string,
  headers: IncomingMessage['headers'],
): Refusal | undefined {
  if (headers['if-match'] !== undefined && headers['if-match'] !== etagOf(blob)) return [412, 'ConditionNotMet']
  if (method === 'GET' || method === 'HEAD' || what.startsWith('lease')) return undefined
  const lease = headers['x-ms-lease-id']
  if (what === '' && method === 'PUT' && headers['if-none-match'] === '*') return undefined
  if (lease === undefined) return blob.lease === undefined ? undefined : [412, 'LeaseIdMissing']
  if (blob.lease === undefined) return [412, 'LeaseLost']
  return lease === blob.lease ? undefined : [412, 'LeaseIdMismatchWithBlobOperation']
}

function changeLease(blob: ServedBlob, action: string, headers: IncomingMessage['headers']): Refusal | undefined {
  const [id, proposed] = [headers['x-ms-lease-id'], headers['x-ms-proposed-lease-id']].map(String)
  if (action === 'acquire') {
    if (blob.lease !== undefined && blob.lease !== proposed) return [409, 'LeaseAlreadyPresent']
    blob.lease = proposed
  } else if (blob.lease === undefined) return [409, 'LeaseNotPresentWithLeaseOperation']
  else if (blob.lease !== id) return [409, 'LeaseIdMismatchWithLeaseOperation']
  else if (action === 'change') blob.lease = proposed
  else if (action === 'release') blob.lease = undefined
  return undefined
}

function putPages(blob: ServedBlob, headers: IncomingMessage['headers'], body: Buffer): Refusal | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(String(headers['x-ms-range'] ?? headers.range)) ?? []
  const [start, end] = [Number(first), Number(last) + 1]
  if (!(start % sector === 0 && end % sector === 0 && start < end && end <= blob.content.length))
    return [416, 'InvalidPageRange']
  const clears = headers['x-ms-page-write'] === 'clear'
  if (clears) blob.content.fill(0, start, end)
  else {
    if (body.length > mostPages) return [413, 'RequestBodyTooLarge']
    if (body.length !== end - start || headers['x-ms-page-write'] !== 'update') return [400, 'InvalidHeaderValue']
    const md5 = createHash('md5').update(body).digest('base64')
    if (headers['content-md5'] !== md5) return [400, 'Md5Mismatch']
    body.copy(blob.content, start)
  }
  blob.written.fill(clears ? 0 : 1, start / sector, end / sector)
  blob.version = nextVersion++
  return undefined
}

/** Ranges from a sector on; those that touch are not always one in the service's answers either. */
function pageListOf({ written }: ServedBlob, from: number): string {
  const ranges: string[] = []
  let at = from
  while (ranges.length < rangesAtOnce) {
    const start = written.indexOf(1, at)
    if (start < 0) return `<?xml version="1.0"?><PageList>${ranges.join('')}</PageList>`
    const found = written.indexOf(0, start)
    const end = found < 0 ? written.length : found
    ranges.push(`<PageRange><Start>${start * sector}</Start><End>${end * sector - 1}</End></PageRange>`)
    at = end
  }
  return `<?xml version="1.0"?><PageList>${ranges.join('')}<NextMarker>${at}</NextMarker></PageList>`
}
