import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { listening } from './ports.js'
import { requestBody } from './request-body.js'

/** A request on its way to a server. */
export interface Passing {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** What the server answers. */
export interface Answer {
  readonly status: number
  readonly headers: http.OutgoingHttpHeaders
  readonly body: Buffer
}

/**
 * What happens to a request that a proxy meets: `undefined`, it is handed on; a function gets the answer that the
 * server gives to what is handed on, and the place where the client waits for one.
 */
export interface PassingFault {
  /** Answers in place of the server, or never. */
  readonly instead?: (response: ServerResponse) => void
  /** Of what is handed on: headers that are not. */
  readonly without?: readonly string[]
  readonly answer?: (given: Answer, response: ServerResponse) => void
}

/**
 * Stands before a server of any scheme that speaks HTTP, and does what networks and servers do wrong.
 * @param to the server's address, without a path. @returns its own.
 */
export async function faultProxy(
  t: TestContext,
  to: string,
  fault: (passing: Passing) => PassingFault | undefined,
): Promise<string> {
  const proxy = http.createServer((request, response) => void pass(request, response, to, fault))
  return `http://127.0.0.1:${await listening(t, proxy)}`
}

async function pass(
  request: IncomingMessage,
  response: ServerResponse,
  to: string,
  fault: (passing: Passing) => PassingFault | undefined,
): Promise<void> {
  const body = await requestBody(request)
  if (body === undefined) return
  const { method = 'GET' } = request
  const { instead, without = [], answer = say } = fault({ method, headers: request.headers, body }) ?? {}
  if (instead !== undefined) {
    instead(response)
    return
  }
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !without.includes(name)))
  const onward = http.request(new URL(request.url ?? '', to), { method, headers }, (given) => {
    void requestBody(given).then((bytes = Buffer.alloc(0)) =>
      answer({ status: given.statusCode ?? 502, headers: given.headers, body: bytes }, response),
    )
  })
  onward.on('error', () => response.destroy())
  onward.end(body)
}

/** The answer as it is. */
export function say({ status, headers, body }: Answer, response: ServerResponse): void {
  response.writeHead(status, headers).end(body)
}
