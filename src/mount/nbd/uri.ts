import { printable, usage } from '../../errors.js'
import { defaultPort } from './structs.js'
import type { Endpoint } from './server.js'
import { longestSocketPath } from './socket-path.js'
import { isPlainText, nameBytes } from '../../sys/host-fs.js'

/** An export of a server, as NBD URIs name it (github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md). */
export interface NbdAddress {
  readonly endpoint: Endpoint
  /** The export's name; empty: the default export. */
  readonly name: string
  readonly tls: boolean
  /** A folder with ca-cert.pem, client-cert.pem and client-key.pem, for TLS. */
  readonly certificates?: string
}

const schemes: Readonly<Record<string, { readonly unix: boolean; readonly tls: boolean }>> = {
  'nbd:': { unix: false, tls: false },
  'nbds:': { unix: false, tls: true },
  'nbd+unix:': { unix: true, tls: false },
  'nbds+unix:': { unix: true, tls: true },
}

/** @throws ImageError usage E_NBD_URI. */
export function parseNbdUri(text: string): NbdAddress {
  const wrong = (why: string) =>
    usage('E_NBD_URI', `${printable(text)} is no NBD URI: ${why}`, {
      hint: 'For example nbd://host:10809/name or nbd+unix:///name?socket=/path.',
    })
  if (!isPlainText(text)) throw wrong('it is not UTF-8')
  let url: URL
  let name: string
  let query: ReadonlyMap<string, string>
  try {
    url = new URL(text)
    name = decodeURIComponent(pathOf(text).replace(/^\//, ''))
    query = queryOf(url.search)
  } catch {
    throw wrong('it cannot be taken apart')
  }
  const scheme = schemes[url.protocol]
  if (scheme === undefined) throw wrong(`${printable(url.protocol)} is none of ${Object.keys(schemes).join(' ')}`)
  if (name.includes('\0')) throw wrong("the export's name has a NUL in it")
  const socket = query.get('socket')
  const folder = query.get('tls-certificates')
  const tls = { tls: scheme.tls, ...(folder === undefined ? {} : { certificates: folder }) }
  if (!scheme.unix) {
    const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1')
    return {
      endpoint: {
        kind: 'tcp',
        host: host === '' ? 'localhost' : host,
        port: url.port === '' ? defaultPort : Number(url.port),
      },
      name,
      ...tls,
    }
  }
  if (socket === undefined || socket === '' || socket.includes('\0')) throw wrong('?socket=PATH is missing')
  // Node would cut it off without a word.
  if (Buffer.byteLength(socket) > longestSocketPath)
    throw wrong(`the path of a socket may have ${longestSocketPath} bytes`)
  if (url.host !== '') throw wrong('a socket file has no host; write three slashes')
  return { endpoint: { kind: 'unix', path: socket }, name, ...tls }
}

/** The path of a URI as it stands: `URL` takes `..` out of it, and the export `a/../b` is another one than `b`. */
function pathOf(text: string): string {
  const [, path = ''] = /^[^:/?#]*:(?:\/\/[^/?#]*)?([^?#]*)/.exec(text.trim()) ?? []
  return path
}

/**
 * The parameters of a URI (RFC 3986): a plus is a plus, other than in the forms of web pages. @throws URIError for what
 * is not UTF-8, which would become another name.
 */
function queryOf(search: string): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const part of search.replace(/^\?/, '').split(/[&;]/)) {
    const sign = part.indexOf('=')
    const key = decodeURIComponent(sign < 0 ? part : part.slice(0, sign))
    if (!parameters.has(key)) parameters.set(key, sign < 0 ? '' : decodeURIComponent(part.slice(sign + 1)))
  }
  return parameters
}

/** A path of this system, whose bytes need not be UTF-8. */
function pathInUri(path: string): string {
  const byte = (value: number): string => `%${value.toString(16).toUpperCase().padStart(2, '0')}`
  return nameBytes(path)
    .toString('latin1')
    .replace(/[^A-Za-z0-9/._~-]/g, (character) => byte(character.charCodeAt(0)))
}

/** The URI of an export, as nbdinfo, nbdcopy and qemu-img take it. */
export function nbdUri({ endpoint, name, tls }: NbdAddress): string {
  const scheme = tls ? 'nbds' : 'nbd'
  const path = encodeURIComponent(name)
  if (endpoint.kind === 'unix') return `${scheme}+unix:///${path}?socket=${pathInUri(endpoint.path)}`
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  return `${scheme}://${host}${endpoint.port === defaultPort ? '' : `:${endpoint.port}`}/${path}`
}
