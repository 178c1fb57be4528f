import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { TestContext } from 'node:test'
import { listening } from './ports.js'

export interface TestProxy {
  readonly port: number
  /** `GET http://host/path`, `CONNECT host:port`. */
  readonly asked: string[]
}

/**
 * A proxy that wants the password `ann:s@cret`, and leads every name to 127.0.0.1.
 * @param secure its key and certificate, where it is spoken to by TLS.
 */
export async function proxyServer(t: TestContext, secure?: https.ServerOptions): Promise<TestProxy> {
  const asked: string[] = []
  const wanted = `Basic ${Buffer.from('ann:s@cret').toString('base64')}`
  const isAllowed = ({ headers }: http.IncomingMessage): boolean => headers['proxy-authorization'] === wanted
  const answer: http.RequestListener = (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (!isAllowed(request)) {
      response.writeHead(407).end()
      return
    }
    const { port, pathname } = new URL(request.url ?? '')
    const headers = { ...request.headers }
    delete headers['proxy-authorization']
    http.get({ host: '127.0.0.1', port, path: pathname, headers }, (answered) => {
      response.writeHead(answered.statusCode ?? 502, answered.headers)
      answered.pipe(response)
    })
  }
  const server = secure === undefined ? http.createServer(answer) : https.createServer(secure, answer)
  server.on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
    asked.push(`CONNECT ${request.url}`)
    if (!isAllowed(request)) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    const there = net.connect({ host: '127.0.0.1', port: Number(request.url?.split(':').at(-1)) }, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      there.pipe(socket).pipe(there)
    })
    for (const one of [there, socket]) one.on('error', () => one.destroy())
  })
  return { port: await listening(t, server), asked }
}
