import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Duplex, Readable, Writable } from 'node:stream'
import { corrupt, lostConnection, printable, refused, usage, type ImageError } from '../../errors.js'
import { joinedStream } from '../../sys/joined-stream.js'
import { shielded } from '../../sys/shielded.js'
import type { SshAddress } from './address.js'
import type { SshOptions } from './environment.js'

/** What runs on the other side: a command of its shell, or the SFTP subsystem. */
export type Remote = { readonly command: string } | { readonly subsystem: 'sftp' }

/** What ssh says on standard error is kept up to so many characters: the end of it. */
const mostSaid = 16384
/** How long a program may take to end, in milliseconds. */
const patience = 2000
/** How long what it said last may take to come, once it has ended, in milliseconds. */
const lastWords = 500

/** The exit code of a program, or that it has none: it never ran, or a signal ended it. */
type Ending = number | 'not-started' | 'killed'

/** A running ssh, which has the user's configuration, keys and agent. */
export class SshConnection implements Disposable {
  readonly stream: Duplex
  readonly label: string
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #ended: Promise<Ending>
  readonly #seconds: number
  #said = ''

  constructor(address: SshAddress, { program, milliseconds }: SshOptions, remote: Remote) {
    this.label = address.label
    this.#seconds = milliseconds / 1000
    const [first = '', ...rest] = shielded([program, ...sshArguments(address, milliseconds, remote)])
    this.#child = spawn(first, rest, { stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdin, stdout, stderr } = this.#child
    // A pipe whose reader is gone; how it ended says why.
    stdin.on('error', () => undefined)
    stderr.on('data', (bytes: Buffer) => {
      this.#said = (this.#said + bytes.toString()).slice(-mostSaid)
    })
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.#said += error.message
        resolve('not-started')
      })
      this.#child.on('close', (code) => resolve(code ?? 'killed'))
      // A program that it leaves behind, such as a master of its connections, may keep the pipes open.
      this.#child.on('exit', (code) => {
        setTimeout(() => {
          resolve(code ?? 'killed')
          this.stream.destroy()
        }, lastWords).unref()
      })
    })
    this.stream = joinedStream(stdout, stdin)
    this.stream.on('error', () => undefined)
  }

  /** How the program ended. It is ended if it goes on. */
  async ended(): Promise<Ending> {
    const timer = setTimeout(() => this.#child.kill(), patience)
    const code = await this.#ended
    clearTimeout(timer)
    return code
  }

  /** The last lines that the other side, or ssh, said. */
  get said(): string {
    const lines = this.#said.split(/\r?\n/).filter((line) => line.trim() !== '')
    return printable(lines.slice(-3).join('; ').slice(-600))
  }

  /** Why there is no connection (any more). @param isOpen whether there was one. */
  async failure(isOpen: boolean): Promise<ImageError> {
    const code = await this.ended()
    const { label, said } = this
    const text = this.#said
    if (code === 'not-started' || (code === 127 && !isOpen))
      return usage('E_SSH_PROGRAM', `${label}: ssh cannot be started: ${said}`, {
        hint: 'Install OpenSSH, or name its program in VDISK_SSH.',
      })
    if (/HOST IDENTIFICATION HAS CHANGED|Host key verification failed/.test(text))
      return refused('E_SSH_HOST_KEY', `${label}: the key of the host is not the one that is known: ${said}`, {
        hint: 'Connect with ssh itself first, and find out why.',
      })
    if (/Timeout, server .* not responding/.test(text)) return this.silent()
    if (isOpen) return lostConnection(label, 'reading', said)
    if (/Permission denied|Too many authentication failures|No supported authentication/.test(text))
      return usage('E_SSH_LOGIN', `${label}: the login was refused: ${said}`, {
        hint: 'Connect with ssh itself first: keys, agent and configuration are those of your ssh.',
      })
    return usage('E_SSH_CONNECT', `${label}: cannot connect${said === '' ? '' : `: ${said}`}`, {
      hint: 'Connect with ssh itself first: hosts, ports and jumps are those of your ssh configuration.',
    })
  }

  /** The other side says nothing. */
  silent(): ImageError {
    return corrupt('E_SSH_TIMEOUT', `${this.label}: the other side does not answer`, {
      hint: `It was given ${this.#seconds} seconds; VDISK_SSH_TIMEOUT sets how many.`,
    })
  }

  [Symbol.dispose](): void {
    this.stream.destroy()
    this.#child.stdin.destroy()
    this.#child.stdout.destroy()
    this.#child.kill()
    this.#child.unref()
  }
}

/** Nothing but what is asked for: no forwardings, no terminal, no agent on the other side. */
function sshArguments({ host, user, port }: SshAddress, milliseconds: number, remote: Remote): string[] {
  const interval = Math.max(1, Math.floor(milliseconds / 3000))
  const options = [
    `ConnectTimeout=${Math.ceil(milliseconds / 1000)}`,
    `ServerAliveInterval=${interval}`,
    'ServerAliveCountMax=3',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    'RemoteCommand=none',
  ]
  return [
    '-T',
    '-a',
    '-x',
    ...options.flatMap((option) => ['-o', option]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    ...('subsystem' in remote ? ['-s', '--', host, remote.subsystem] : ['--', host, remote.command]),
  ]
}
