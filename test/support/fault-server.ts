import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { listening } from './ports.js'

/** What was asked for, and how many bytes of it were sent. */
export interface Served {
  readonly range: string | undefined
  readonly headers: IncomingMessage['headers']
  bytes: number
}

/** What a server does with a request instead of answering it rightly; `undefined`: it answers. */
export type Fault = (request: IncomingMessage, response: ServerResponse, count: number) => true | undefined

export interface FaultServer {
  readonly url: string
  /** All requests, in order. */
  readonly served: readonly Served[]
}

/** A web server that knows ranges and versions, over bytes in memory; each address may have a fault of its own. */
export async function faultServer(
  t: TestContext,
  content: () => Buffer,
  faults: Readonly<Record<string, Fault>> = {},
): Promise<FaultServer> {
  const served: Served[] = []
  const server = http.createServer((request, response) => {
    const record: Served = { range: request.headers.range, headers: request.headers, bytes: 0 }
    served.push(record)
    const name = (request.url ?? '').split('/')[1] ?? ''
    if (Object.hasOwn(faults, name) && faults[name]?.(request, response, served.length) === true) return
    record.bytes = answer(request, response, content())
  })
  return { url: `http://127.0.0.1:${await listening(t, server)}`, served }
}

/** The right answer; headers that were set before stay. @returns how many bytes were sent. */
export function answer(request: IncomingMessage, response: ServerResponse, content: Buffer, etag = '"one"'): number {
  const { range, 'if-match': wanted } = request.headers
  if (!response.hasHeader('ETag')) response.setHeader('ETag', etag)
  if (wanted !== undefined && wanted !== response.getHeader('ETag')) {
    response.writeHead(412).end()
    return 0
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
  if (first === undefined || last === undefined) {
    response.writeHead(200, { 'Content-Length': content.length }).end(content)
    return content.length
  }
  const [start, end] = [Number(first), Math.min(Number(last) + 1, content.length)]
  if (start >= content.length) {
    response.writeHead(416, { 'Content-Range': `bytes */${content.length}` }).end()
    return 0
  }
  if (!response.hasHeader('Content-Range'))
    response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.length}`)
  response.writeHead(206, { 'Content-Length': end - start }).end(content.subarray(start, end))
  return end - start
}
