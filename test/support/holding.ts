import { connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { listening } from './ports.js'

interface Holding {
  readonly url: string
  /** When nothing is handed on any more. */
  readonly held: Promise<void>
  /** Ends the connections there are, as the system does where a client was killed. */
  drop(): void
}

/**
 * Hands on what is sent to a server, but of the connection in which a text goes by first: from there on nothing.
 * @param more bytes that are still handed on behind the piece with that text; default: not that piece either.
 */
export async function holding(t: TestContext, to: string, text: string, more = -1): Promise<Holding> {
  const { hostname, port } = new URL(to)
  let hold = (): void => undefined
  const held = new Promise<void>((resolve) => {
    hold = resolve
  })
  let isFound = false
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    }
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    upstream.pipe(client)
    let left = Infinity
    client.on('data', (bytes) => {
      if (!isFound && bytes.includes(text)) {
        isFound = true
        left = more
      }
      if (left >= 0) upstream.write(bytes)
      left -= bytes.length
      if (left > 0) return
      client.pause()
      hold()
    })
  })
  const drop = (): void => sockets.forEach((socket) => void socket.destroy())
  t.after(drop)
  return { url: `http://127.0.0.1:${await listening(t, server)}`, held, drop }
}
