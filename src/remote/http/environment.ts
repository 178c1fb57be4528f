import { printable, usage } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { keepSecret } from '../../sys/secrets.js'
import { proxiesOf } from './proxies.js'
import { usualOptions, type ReaderOptions } from './reader-options.js'

const shortestSecret = 8
/** What Node takes as a header (RFC 9110, sections 5.1 and 5.5). Its own check would load all of its http. */
const headerName = /^[\^_`a-zA-Z\-0-9!#$%&'*+.|~]+$/
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * How web servers are read, as the environment says: `VDISK_HTTP_TIMEOUT` (seconds that a server may keep silent),
 * `VDISK_HTTP_CONNECTIONS` (1 to 16), `VDISK_HTTP_HEADERS` (a file with lines `Name: value`, which are secrets).
 * @param usualConnections where it does not say how many.
 * @throws ImageError usage E_OPTION, E_HTTP_PROXY; those of reading the file.
 */
export function optionsOf(
  variables: Readonly<Record<string, string | undefined>>,
  usualConnections = usualOptions.connections,
): ReaderOptions {
  const seconds = numberOf(variables, 'VDISK_HTTP_TIMEOUT', 3600)
  const connections = numberOf(variables, 'VDISK_HTTP_CONNECTIONS', 16)
  const file = variables['VDISK_HTTP_HEADERS']
  return {
    milliseconds: seconds === undefined ? usualOptions.milliseconds : seconds * 1000,
    connections: connections ?? usualConnections,
    headers: file === undefined || file === '' ? undefined : headersIn(file),
    proxies: proxiesOf(variables),
  }
}

function numberOf(
  variables: Readonly<Record<string, string | undefined>>,
  name: string,
  highest: number,
): number | undefined {
  const text = variables[name]
  if (text === undefined || text === '') return undefined
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= highest) return value
  throw usage('E_OPTION', `${name} is ${printable(text)}, and has to be a whole number from 1 to ${highest}`)
}

function textOf(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (cause) {
    throw usage('E_OPTION', `VDISK_HTTP_HEADERS: ${printable(file)} cannot be read`, { cause })
  }
}

function headersIn(file: string): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [index, line] of textOf(file).split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const colon = line.indexOf(':')
    const [name, value] = [line.slice(0, Math.max(0, colon)).trim(), line.slice(colon + 1).trim()]
    if (!headerName.test(name) || !headerValue.test(value))
      throw usage('E_OPTION', `${printable(file)}, line ${index + 1}: no header, which is written Name: value`)
    headers[name] = value
    // Short ones open nothing, and are parts of other texts.
    if (value.length >= shortestSecret) keepSecret(value, '…')
  }
  return headers
}
