import { printable, usage } from '../../errors.js'
import { keepSecret } from '../../sys/secrets.js'
import { percentText } from '../../sys/percent.js'

/** A server that requests are sent through. */
export interface Proxy {
  readonly isSecure: boolean
  readonly host: string
  readonly port: number
  /** The value of the `Proxy-Authorization` header. */
  readonly authorization?: string
}

/** The proxies of the environment, and what is reached without them. */
export interface Proxies {
  readonly http?: Proxy
  readonly https?: Proxy
  /** Host names, which stand for all below them too; addresses; networks; `*`. */
  readonly without: readonly string[]
}

type Variables = Readonly<Record<string, string | undefined>>

/** The port of a proxy whose address names none, as curl has it. */
const usualPort = 1080

/**
 * The proxies that the environment names, by curl's rules: `http_proxy` in lower case only (servers set HTTP_PROXY from
 * a header of a request), the others in either, `all_proxy` where none is named for the scheme.
 * @throws ImageError usage E_HTTP_PROXY.
 */
export function proxiesOf(variables: Variables): Proxies {
  const named = (...names: readonly string[]): Proxy | undefined => {
    const name = names.find((each) => (variables[each] ?? '') !== '')
    return name === undefined ? undefined : parseProxy(name, variables[name] ?? '')
  }
  const without = variables['no_proxy'] ?? variables['NO_PROXY'] ?? ''
  return {
    http: named('http_proxy', 'all_proxy', 'ALL_PROXY'),
    https: named('https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'),
    without: without
      .split(/[\s,]+/)
      .filter((each) => each !== '')
      .map((each) => each.toLowerCase()),
  }
}

/** The proxy that a server is reached through; undefined: none. */
export function proxyFor({ protocol, hostname }: URL, { http, https, without }: Proxies): Proxy | undefined {
  const proxy = protocol === 'https:' ? https : http
  return proxy === undefined || isWithout(hostname.toLowerCase(), without) ? undefined : proxy
}

function parseProxy(name: string, text: string): Proxy {
  const wrong = (why: string): Error =>
    usage('E_HTTP_PROXY', `${name} names no proxy that is known here: ${why}`, {
      hint: `Write ${name}=http://host:port`,
    })
  let url: URL
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`)
  } catch {
    throw wrong('it is no address')
  }
  const { protocol, hostname, port, username, password } = url
  if (protocol !== 'http:' && protocol !== 'https:') throw wrong(`${printable(protocol)} proxies are not spoken to`)
  if (username !== '' || password !== '') keepSecret(text, `${protocol}//${url.host}`)
  const pair = Buffer.from(`${percentText(username)}:${percentText(password)}`).toString('base64')
  return {
    isSecure: protocol === 'https:',
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: portOf(text, port),
    authorization: username === '' && password === '' ? undefined : `Basic ${pair}`,
  }
}

/** `URL` leaves out a port that is the scheme's own. */
function portOf(text: string, port: string): number {
  const written = port === '' ? /:(\d+)\/?$/.exec(text)?.[1] : port
  return written === undefined ? usualPort : Number(written)
}

/** A name stands for itself and all below it; so does one with a dot in front. */
function isWithout(host: string, without: readonly string[]): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  return without.some((each) => {
    if (each === '*') return true
    const name = each
      .replace(/^\./, '')
      .replace(/\.$/, '')
      .replace(/^\[(.*)\]$/, '$1')
    if (name.includes('/')) return isInNetwork(bare, name)
    return name !== '' && (bare === name || (!isNumeric(bare) && bare.endsWith(`.${name}`)))
  })
}

function isNumeric(host: string): boolean {
  return host.includes(':') || /^[\d.]+$/.test(host)
}

/** IPv4 networks (10.0.0.0/8), as curl knows them. */
function isInNetwork(host: string, network: string): boolean {
  const [, base, bits] = /^([\d.]+)\/(\d{1,2})$/.exec(network) ?? []
  const [one, other] = [addressNumber(host), addressNumber(base ?? '')]
  const length = Number(bits)
  if (one === undefined || other === undefined || !(length <= 32)) return false
  const unit = 2 ** (32 - length)
  return Math.floor(one / unit) === Math.floor(other / unit)
}

function addressNumber(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number)
  if (parts === undefined || parts.some((part) => part > 255)) return undefined
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}
