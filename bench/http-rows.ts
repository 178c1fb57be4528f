import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { nginxProgram, startNginx } from '../test/support/nginx.js'
import { inBalancedOrder, run } from './measure.js'
import {
  at,
  dataSize,
  have,
  isWanted,
  options,
  peer,
  rounds,
  shell,
  vdisk,
  type Command,
  type Throughput,
} from './row.js'

/** Images on a web server behind lines of several delays, against what else reads them. */

const delays = [0, 20, 80]
const folder = path.join(options.folder, 'http')
const target = at('out.http')

interface Kind {
  readonly name: string
  readonly file: string
  readonly peers: (url: string) => readonly Command[]
}

const nbdcopy = (url: string): Command =>
  shell('nbdkit curl and nbdcopy', 'nbdkit -U - curl "$0" --run "nbdcopy \\"\\$uri\\" $1"', url, target)
const downloaded = (url: string): Command =>
  shell(
    'curl, then qemu-img',
    'curl -sfo "$1.tmp" "$0"; qemu-img convert -W -m 16 -O raw "$1.tmp" "$1"; rm "$1.tmp"',
    url,
    target,
  )
const qemuImg = (url: string): Command => peer('qemu-img', 'convert', '-W', '-m', '16', '-O', 'raw', url, target)

const kinds: readonly Kind[] = [
  {
    name: 'raw',
    file: 'disk.raw',
    peers: (url) => [
      qemuImg(url),
      nbdcopy(url),
      shell('curl and dd', 'curl -sf "$0" | dd of="$1" bs=1M iflag=fullblock conv=sparse status=none', url, target),
    ],
  },
  { name: 'qcow2', file: 'disk.qcow2', peers: (url) => [qemuImg(url), downloaded(url)] },
  { name: 'vhdx', file: 'disk.vhdx', peers: (url) => [qemuImg(url), downloaded(url)] },
  { name: 'qcow2 zstd', file: 'zstd.qcow2', peers: (url) => [downloaded(url)] },
]

const nameOf = (kind: string, delay: number): string => `http ${kind} → raw, ${delay} ms of delay`

export async function* httpRows(): AsyncGenerator<Throughput> {
  const rows = kinds.flatMap((kind) => delays.map((delay) => ({ kind, delay, name: nameOf(kind.name, delay) })))
  const wanted = rows.filter(({ name }) => isWanted(name))
  if (wanted.length === 0 || !have('http', nginxProgram, 'curl', 'nbdkit', 'nbdcopy', 'qemu-img')) return
  makeFiles()
  const { port, child } = await startNginx(folder)
  const children = [child]
  try {
    for (const { kind, delay, name } of wanted) {
      const line = delay === 0 ? port : await delayed(children, port, delay)
      const url = `http://127.0.0.1:${line}/${kind.file}`
      const commands = [vdisk('convert', url, target, '--to', 'raw', '--force', '--no-flush'), ...kind.peers(url)]
      const seconds: number[][] = commands.map(() => [])
      for (const [index, { argv }] of inBalancedOrder([...commands.entries()], rounds)) {
        fs.rmSync(target, { force: true })
        execFileSync('sync')
        const [program = '', ...args] = argv
        seconds[index]?.push((await run(program, args)).seconds)
      }
      fs.rmSync(target, { force: true })
      const [ours = [], ...theirs] = seconds
      const peers = kind.peers(url).map((one, index) => ({ name: one.name, seconds: theirs[index] ?? [] }))
      yield { name, goal: 1, work: `${options.size} MiB`, ours, peers }
    }
  } finally {
    for (const one of children) one.kill('SIGKILL')
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function makeFiles(): void {
  fs.mkdirSync(folder, { recursive: true })
  const raw = path.join(folder, 'disk.raw')
  const file = fs.openSync(raw, 'w')
  // Half of each mebibyte can be compressed.
  const filler = Buffer.alloc(524288, 'what a disk holds that can be compressed. ')
  for (let position = 0; position < dataSize; position += 1048576) {
    fs.writeSync(file, randomBytes(524288), 0, 524288, position)
    fs.writeSync(file, filler, 0, filler.length, position + 524288)
  }
  fs.closeSync(file)
  for (const [name, ...flags] of [
    ['disk.qcow2', '-O', 'qcow2'],
    ['disk.vhdx', '-O', 'vhdx'],
    ['zstd.qcow2', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd'],
  ] as const)
    execFileSync('qemu-img', ['convert', '-f', 'raw', ...flags, raw, path.join(folder, name)])
}

/** Starts a line with a delay. @returns the port to connect to. */
async function delayed(children: ChildProcess[], port: number, milliseconds: number): Promise<number> {
  const program = fileURLToPath(new URL('./delayed.js', import.meta.url))
  const child = spawn(process.execPath, [program, String(port), String(milliseconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const line = await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve))
  return Number(line.toString())
}
