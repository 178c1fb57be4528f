import { spawn, type ChildProcess } from 'node:child_process'
import net from 'node:net'
import type { Writable } from 'node:stream'
import { corrupt, lostConnection, printable, refused, usage, type ImageError, type Label } from '../../errors.js'
// Not through index.ts, which loads the server.
import { ByteReader, closedByServer, type IncomingBytes } from '../../mount/nbd/byte-reader.js'
import { SocketReader } from '../../mount/nbd/socket-reader.js'
import { started } from '../../sys/commands.js'
import { joinedStream } from '../../sys/joined-stream.js'
import { shielded } from '../../sys/shielded.js'
import { syscalls } from '../../sys/syscalls.js'
import type { SshAddress } from './address.js'
import { quickCiphers } from './ciphers.js'
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
  /** What is written goes to the other side; `reader` has what comes from there. */
  readonly stream: Writable
  readonly reader: IncomingBytes
  readonly label: Label
  readonly #child: ChildProcess
  readonly #ended: Promise<Ending>
  readonly #seconds: number
  #said = ''

  private constructor(label: Label, milliseconds: number, started: Started) {
    this.label = label
    this.#seconds = milliseconds / 1000
    this.#child = started.child
    this.stream = started.stream
    this.reader = started.reader
    // A pipe whose reader is gone; how it ended says why.
    this.stream.on('error', this.reader.fail)
    this.#child.stderr?.on('data', (bytes: Buffer) => {
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
          this.#close()
        }, lastWords).unref()
      })
    })
  }

  /** Starts it. Whether it can connect shows when something is read. */
  static async open(address: SshAddress, options: SshOptions, remote: Remote): Promise<SshConnection> {
    const { program, milliseconds } = options
    const words = sshArguments(address, milliseconds)
    const ciphers = await quickCiphers(program, [...words, '--', address.host])
    const quick = ciphers === undefined ? [] : ['-o', `Ciphers=${ciphers}`]
    const { host } = address
    const what = 'subsystem' in remote ? ['-s', '--', host, remote.subsystem] : ['--', host, remote.command]
    return new SshConnection(address.label, milliseconds, start(shielded([program, ...words, ...quick, ...what])))
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
    this.#close()
    this.#child.kill()
    this.#child.unref()
  }

  #close(): void {
    this.stream.destroy()
    this.reader.fail(closedByServer())
  }
}

interface Started {
  readonly child: ChildProcess
  readonly stream: Writable
  readonly reader: IncomingBytes
}

/** Starts a program whose output is read without copies, where sockets for it can be had. */
function start([program = '', ...args]: readonly string[]): Started {
  const calls = syscalls()
  const pair = calls?.socketPair()
  if (calls === undefined || pair === undefined) {
    const child = started(spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] }))
    child.stdin.on('error', () => undefined)
    const stream = joinedStream(child.stdout, child.stdin)
    return { child, stream, reader: new ByteReader(stream) }
  }
  const [fd, theirs] = pair
  const reader = new SocketReader((onread) => {
    const options: net.SocketConstructorOpts & { readonly onread: net.OnReadOpts } = { fd, readable: true, onread }
    return new net.Socket(options)
  })
  try {
    const child = started(spawn(program, args, { stdio: ['pipe', theirs, 'pipe'] }))
    if (child.stdin === null) throw new TypeError('a program without an input')
    return { child, stream: child.stdin, reader }
  } finally {
    // Else the end of the program would not be seen.
    calls.closeDescriptor(theirs)
  }
}

/** Nothing but what is asked for: no forwardings, no terminal, no agent on the other side. */
function sshArguments({ user, port }: SshAddress, milliseconds: number): string[] {
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
  ]
}
