import fs from '../../sys/host-fs.js'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { isOutOfFiles, printable, refused, systemReason, targetError, usage } from '../../errors.js'
import { PieceBuffers } from './buffers.js'
import { Connection, type Securing } from './connection.js'
import type { ServedDisk } from './served-disk.js'

/** Clients at once; with what each may hold they stay below 256 MiB together. */
const maximumConnections = 60
const longestSocketPath = 107

/** Certificates in PEM. With `authority`, clients too need a certificate, of that authority. */
export interface ServerTls {
  readonly certificate: string
  readonly key: string
  readonly authority?: string
}

export type Endpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

export interface NbdServerOptions {
  /** The exports; the first is also the default one, with the empty name. */
  readonly disks: readonly ServedDisk[]
  readonly tls?: ServerTls
  /** A client began to use an export, or one that did is gone: how many there are now. */
  readonly onClients?: (count: number) => void
  /** A connection is closed, whether it used an export or not. */
  readonly onClose?: () => void
}

/** Serves disks to any number of clients, all in this thread. */
export class NbdServer {
  readonly #server: net.Server
  readonly #connections = new Set<Connection>()
  readonly #options: NbdServerOptions
  readonly #buffers = new PieceBuffers()
  readonly #secure: Securing | undefined

  /** @throws ImageError usage E_TLS where the certificates are none. */
  constructor(options: NbdServerOptions) {
    this.#options = options
    this.#secure = options.tls === undefined ? undefined : securing(options.tls)
    this.#server = net.createServer((socket) => this.#accept(socket))
  }

  /**
   * Begins to listen. A socket file is the user's alone. Gives where it listens: the port, where 0 was asked for.
   * @throws ImageError refused E_SOCKET_IN_USE; target E_EXISTS, E_LISTEN.
   */
  async listen(endpoint: Endpoint): Promise<Endpoint> {
    if (endpoint.kind === 'unix') {
      // The system has room for so many, and Node cuts off the rest without a word.
      if (Buffer.byteLength(endpoint.path) > longestSocketPath)
        throw targetError(
          'E_LISTEN',
          `${printable(endpoint.path)} is too long for a socket: ${longestSocketPath} bytes are possible`,
          { hint: 'Name it from the folder it is to be in, or choose another place.' },
        )
      await clearDeadSocket(endpoint.path)
    }
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => reject(listenError(endpoint, cause)))
      // The file is made within the call, and must never be open to others.
      const mask = endpoint.kind === 'unix' ? process.umask(0o177) : undefined
      try {
        this.#server.listen(
          endpoint.kind === 'unix' ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port },
          resolve,
        )
      } finally {
        if (mask !== undefined) process.umask(mask)
      }
    })
    const address = this.#server.address()
    return endpoint.kind === 'tcp' && typeof address === 'object' && address !== null
      ? { ...endpoint, port: address.port }
      : endpoint
  }

  /** Stops listening and ends all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    for (const connection of this.#connections) connection.close()
    await closed
  }

  #accept(socket: net.Socket): void {
    if (this.#connections.size >= maximumConnections) {
      socket.destroy()
      return
    }
    socket.setNoDelay(true)
    this.serve(socket)
  }

  /** Serves a client over a stream that stands already. */
  serve(stream: Duplex): void {
    const connection = new Connection(stream, {
      disks: this.#options.disks,
      buffers: this.#buffers,
      secure: this.#secure,
      onTransmission: () => this.#count(),
      onClose: () => {
        this.#connections.delete(connection)
        if (connection.active) this.#count()
        this.#options.onClose?.()
      },
    })
    this.#connections.add(connection)
  }

  #count(): void {
    this.#options.onClients?.([...this.#connections].filter(({ active }) => active).length)
  }
}

function securing({ certificate, key, authority }: ServerTls): Securing {
  const verify = authority !== undefined
  const options: tls.TlsOptions = {
    cert: certificate,
    key,
    ca: authority,
    minVersion: 'TLSv1.2',
    requestCert: verify,
    rejectUnauthorized: verify,
  }
  try {
    tls.createSecureContext(options)
  } catch (cause) {
    throw usage('E_TLS', `the certificates cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
      hint: 'They are PEM files: a certificate (chain), its private key, and the certificate of the authority.',
    })
  }
  return (stream, done) => {
    // Not a TLSSocket made by hand: only a server looks at what came of the client's certificate.
    const server = tls.createServer(options, (secure) => done(secure))
    server.on('tlsClientError', () => done(undefined))
    server.emit('connection', stream)
  }
}

/**
 * Makes way for a new socket where a server that is gone left its own. @throws ImageError refused E_SOCKET_IN_USE;
 * target E_EXISTS.
 */
async function clearDeadSocket(path: string): Promise<void> {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket())
    throw targetError('E_EXISTS', `${printable(path)} exists, and is no socket`, {
      hint: 'Choose another name, or remove the file.',
    })
  const answered = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path })
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
  if (answered)
    throw refused('E_SOCKET_IN_USE', `a server listens at ${printable(path)} already`, {
      hint: 'Choose another name with --socket.',
    })
  if (process.getuid !== undefined && stat.uid !== process.getuid())
    throw targetError('E_EXISTS', `${printable(path)} is a socket that another user left`, {
      hint: 'Choose another name with --socket.',
    })
  fs.removeFileSync(path)
}

function listenError(endpoint: Endpoint, cause: NodeJS.ErrnoException): Error {
  // No other place would be better.
  if (isOutOfFiles(cause)) return cause
  const where = endpoint.kind === 'unix' ? printable(endpoint.path) : `${endpoint.host}, port ${endpoint.port}`
  const hint = cause.code === 'EADDRINUSE' ? 'Another server listens there.' : undefined
  return targetError('E_LISTEN', `nothing can listen at ${where}: ${systemReason(cause)}`, {
    cause,
    hint,
  })
}
