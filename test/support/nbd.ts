import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { ServedDisk } from '../../src/mount/nbd/index.js'
import { assertNoWarning, root } from './cli.js'

/** A disk in memory for the server, with what was done to it. */
export class MemoryDisk implements ServedDisk {
  readonly description = 'memory'
  readonly fastZero = true
  readonly done: string[] = []
  /** Offsets at which reading fails. */
  readonly bad = new Set<number>()

  constructor(
    readonly bytes: Buffer,
    readonly name = '',
    readonly writable = true,
  ) {}

  get capacity(): number {
    return this.bytes.length
  }

  read(offset: number, target: Uint8Array): Promise<void> | undefined {
    for (const bad of this.bad)
      if (bad >= offset && bad < offset + target.length) throw new Error(`offset ${bad} cannot be read`)
    this.bytes.copy(target, 0, offset, offset + target.length)
    return undefined
  }

  runAt(offset: number, limit: number): { zero: boolean; length: number } {
    const isZero = (at: number): boolean =>
      this.bytes.subarray(at, Math.min(at + 512, this.bytes.length)).every((byte) => byte === 0)
    const zero = isZero(offset)
    let end = offset + 512
    while (end < offset + limit && isZero(end) === zero) end += 512
    return { zero, length: Math.min(end - offset, limit) }
  }

  write(offset: number, bytes: Uint8Array): void {
    this.done.push(`write ${offset} ${bytes.length}`)
    this.bytes.set(bytes, offset)
  }

  zero(offset: number, length: number): void {
    this.done.push(`zero ${offset} ${length}`)
    this.bytes.fill(0, offset, offset + length)
  }

  flush(): void {
    this.done.push('flush')
  }
}

/** A client that sends and expects bytes as they are. */
export class RawClient {
  readonly #socket: net.Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => undefined

  private constructor(socket: net.Socket) {
    this.#socket = socket
    socket.on('data', (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes])
      this.#wake()
    })
    const ended = (): void => {
      this.#ended = true
      this.#wake()
    }
    socket.on('close', ended).on('error', ended)
  }

  static async connect(t: TestContext, path: string): Promise<RawClient> {
    const socket = net.connect({ path })
    t.after(() => socket.destroy())
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new RawClient(socket)
  }

  send(...parts: readonly (string | Uint8Array)[]): void {
    for (const part of parts)
      this.#socket.write(typeof part === 'string' ? Buffer.from(part.replaceAll(' ', ''), 'hex') : part)
  }

  /** The next bytes that come in; fewer when the server closes first. */
  async receive(count: number): Promise<Buffer> {
    while (this.#bytes.length < count && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve))
    const bytes = this.#bytes.subarray(0, count)
    this.#bytes = this.#bytes.subarray(count)
    return bytes
  }

  /** Whether the server has closed without sending more. */
  async closed(): Promise<boolean> {
    return (await this.receive(1)).length === 0
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** A server program: `vdisk serve`, qemu-nbd or nbdkit. It is gone after the test. */
export interface RunningServer {
  readonly uri: string
  readonly process: ChildProcess
  readonly ended: Promise<{ code: number | null; output: string }>
}

/** Starts `vdisk serve` with these parameters and waits until it is ready. */
export async function startServe(
  t: TestContext,
  cwd: string,
  args: readonly string[],
): Promise<RunningServer & { readonly uris: string[] }> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: cwd,
    XDG_RUNTIME_DIR: cwd,
    VDISK_DATA_DIR: join(cwd, 'no-plugins'),
    TERM: 'dumb',
  }
  const child = spawn(process.execPath, [join(root, 'bin/run.js'), 'serve', ...args], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  let ready: () => void = () => undefined
  const started = new Promise<void>((resolve) => (ready = resolve))
  const take = (text: string): void => {
    output += text
    if (/^Ready/m.test(output)) ready()
  }
  child.stdout.setEncoding('utf8').on('data', take)
  child.stderr.setEncoding('utf8').on('data', take)
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve)).then((code) => {
    assertNoWarning(output)
    return { code, output }
  })
  // Who does not wait for the end is not held responsible for it.
  ended.catch(() => undefined)
  await Promise.race([
    started,
    ended.then(({ code }) => {
      throw new Error(`vdisk serve ended with ${code}: ${output}`)
    }),
  ])
  const uris = [...output.matchAll(/uri +(\S+)/g)].map(([, uri]) => uri ?? '')
  return { uri: uris[0] ?? '', uris, process: child, ended }
}

/** Starts another server program that listens at `socket`, and waits until the socket is there. */
export async function startPeer(
  t: TestContext,
  program: string,
  args: readonly string[],
  socket: string,
): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  while (!fs.existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return child
}
