import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import type { Proxy } from './proxies.js'

/** Says no to a connection that a request was to go through. */
export class ProxyRefusal extends Error {
  constructor(
    readonly status: number,
    name: string,
  ) {
    super(`the proxy ${name} answers ${status}`)
  }
}

/** Connections to servers through a proxy, by CONNECT (RFC 9110, section 9.3.6): it sees the server's name only. */
export class TunnelAgent extends https.Agent {
  readonly #proxy: Proxy
  readonly #milliseconds: number

  constructor(proxy: Proxy, options: https.AgentOptions, milliseconds: number) {
    super(options)
    this.#proxy = proxy
    this.#milliseconds = milliseconds
  }

  override createConnection(
    options: http.ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    // Nobody looks at the stream where there is an error.
    const done = callback as (error: Error | null, stream?: Duplex) => void
    const { authorization } = this.#proxy
    const host = options.host ?? ''
    const target = `${net.isIPv6(host) ? `[${host}]` : host}:${options.port ?? 443}`
    const request = http.request({
      method: 'CONNECT',
      path: target,
      headers: { Host: target, ...(authorization === undefined ? {} : { 'Proxy-Authorization': authorization }) },
      createConnection: () => connected(this.#proxy),
      timeout: this.#milliseconds,
    })
    request.on('connect', ({ statusCode = 0 }, socket) => {
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy()
        done(new ProxyRefusal(statusCode, nameOf(this.#proxy)))
        return
      }
      socket.setTimeout(0)
      const servername = net.isIP(host) === 0 ? host : ''
      done(null, tls.connect({ ...(options as tls.ConnectionOptions), socket, servername, host, path: undefined }))
    })
    request.on('timeout', () => request.destroy(new Error('the proxy does not answer')))
    request.on('error', (error) => done(error))
    request.end()
  }
}

/** What a request for an http address sends to a proxy in place of the server. */
export function throughProxy(
  url: URL,
  { isSecure, host, port, authorization }: Proxy,
): http.RequestOptions & Pick<tls.ConnectionOptions, 'servername'> {
  return {
    // The connection is the proxy's: so is the name that its certificate has.
    protocol: isSecure ? 'https:' : 'http:',
    servername: net.isIP(host) === 0 ? host : '',
    hostname: host,
    port,
    path: url.href,
    headers: { Host: url.host, ...(authorization === undefined ? {} : { 'Proxy-Authorization': authorization }) },
  }
}

function connected({ isSecure, host, port }: Proxy): net.Socket {
  return isSecure
    ? tls.connect({ host, port, servername: net.isIP(host) === 0 ? host : '' })
    : net.connect({ host, port })
}

function nameOf({ host, port }: Proxy): string {
  return `${host}:${port}`
}
