import { printable, usage } from '../../errors.js'
import { defaultPort } from './structs.js'
import type { Endpoint } from './server.js'

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
  let url: URL
  let name: string
  try {
    url = new URL(text)
    name = decodeURIComponent(url.pathname.replace(/^\//, ''))
  } catch {
    throw wrong('it cannot be taken apart')
  }
  const scheme = schemes[url.protocol]
  if (scheme === undefined) throw wrong(`${printable(url.protocol)} is none of ${Object.keys(schemes).join(' ')}`)
  if (name.includes('\0')) throw wrong("the export's name has a NUL in it")
  const socket = url.searchParams.get('socket')
  const folder = url.searchParams.get('tls-certificates')
  const tls = { tls: scheme.tls, ...(folder === null ? {} : { certificates: folder }) }
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
  if (socket === null || socket === '' || socket.includes('\0')) throw wrong('?socket=PATH is missing')
  if (url.host !== '') throw wrong('a socket file has no host; write three slashes')
  return { endpoint: { kind: 'unix', path: socket }, name, ...tls }
}

/** The URI of an export, as nbdinfo, nbdcopy and qemu-img take it. */
export function nbdUri({ endpoint, name, tls }: NbdAddress): string {
  const scheme = tls ? 'nbds' : 'nbd'
  const path = encodeURIComponent(name)
  if (endpoint.kind === 'unix')
    return `${scheme}+unix:///${path}?socket=${encodeURIComponent(endpoint.path).replaceAll('%2F', '/')}`
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host
  return `${scheme}://${host}${endpoint.port === defaultPort ? '' : `:${endpoint.port}`}/${path}`
}
