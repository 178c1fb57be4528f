import { printable, usage, type HostPath, type Label } from '../../errors.js'
import { hostName } from '../../sys/host-fs.js'
import { percentBytes } from '../../sys/percent.js'
import { keepSecret } from '../../sys/secrets.js'

/** A file of a computer that is reached by SSH. */
export interface SshAddress {
  /** A name of the user's ssh configuration, or of the network. */
  readonly host: string
  readonly user?: string
  readonly port?: number
  /** Absolute, or relative to the home folder. */
  readonly path: HostPath
  /** By SFTP, whatever the other computer has. */
  readonly onlySftp: boolean
  readonly label: Label
}

// What ssh is given never begins with a hyphen, and has nothing in it that ssh or a ProxyCommand's shell expands.
const plainHost = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$/
const ipv6 = /^\[([0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,16})?)\]$/
const userName = /^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,254}$/
const form = /^(ssh|sftp):\/\/(?:([^@/]*)@)?(\[[^\]/]*\]|[^:/@]*)(?::(\d{0,5}))?(\/.*)$/is

/** @throws ImageError usage E_SSH_URL. */
export function parseSshAddress(text: string): SshAddress {
  const wrong = (why: string): Error =>
    usage('E_SSH_URL', `${printable(text)} is no address of a file by SSH: ${why}`, {
      hint: 'For example ssh://user@host/absolute/path/disk.qcow2, or ssh://host/~/disk.qcow2 in the home folder.',
    })
  const [, scheme, userinfo, host = '', port, path = ''] = form.exec(text) ?? []
  if (userinfo?.includes(':') === true) {
    keepSecret(text, text.replace(userinfo, `${userinfo.split(':')[0] ?? ''}:…`))
    throw wrong('ssh asks for passwords itself, and takes none in an address')
  }
  if (scheme === undefined) throw wrong('it has to be ssh://, a host, and a path')
  return {
    host: hostIn(host, wrong),
    user: userinfo === undefined ? undefined : userIn(userinfo, wrong),
    port: port === undefined || port === '' ? undefined : portIn(port, wrong),
    path: pathIn(path, wrong),
    onlySftp: scheme.toLowerCase() === 'sftp',
    label: printable(text),
  }
}

type Wrong = (why: string) => Error

function hostIn(text: string, wrong: Wrong): string {
  const address = ipv6.exec(text)?.[1]
  if (address !== undefined) return address
  if (!plainHost.test(text)) throw wrong('the name of the host is none that ssh is given')
  return text
}

function userIn(text: string, wrong: Wrong): string {
  const user = percentBytes(text)?.toString()
  if (user === undefined || !userName.test(user))
    throw wrong('the name of the user has characters that ssh is not given')
  return user
}

function portIn(text: string, wrong: Wrong): number {
  const port = Number(text)
  if (port < 1 || port > 65535) throw wrong('the port is none')
  return port
}

function pathIn(text: string, wrong: Wrong): HostPath {
  if (/[?#]/.test(text)) throw wrong('? and # in a path are written %3F and %23')
  const bytes = percentBytes(text)
  if (bytes === undefined || bytes.includes(0)) throw wrong('a % in the path is written %25')
  const whole = hostName(bytes)
  const path = whole.startsWith('/~/') ? whole.slice(3) : whole
  if (path === '' || path.endsWith('/')) throw wrong('it names no file')
  return path
}

/** The address of the file whose name has an ending behind that of another. @param ending plain characters. */
export function besideAddress(address: SshAddress, ending: string): SshAddress {
  const { host, user, port, path, onlySftp, label } = address
  return { host, user, port, path: `${path}${ending}`, onlySftp, label: printable(`${label}${ending}`) }
}
