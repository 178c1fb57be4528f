import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildInputs } from './inputs.js'
import { median } from './measure.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench') },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(`node dist/bench/serve.js [--size GiB] [--runs N] [--seconds S] [--folder DIR] [--only TEXT]
Reads the same images through vdisk serve and through qemu-nbd (read-only, up to 8 clients), in turn, and prints the
median of each and their ratio (above 1: vdisk is faster). nbdcopy reads all of the disk to null:, fio reads random
blocks of 4 KiB for S seconds.`)
  process.exit(0)
}

const formats = [
  { name: 'raw', qemu: 'raw', extension: 'raw', flags: [] },
  { name: 'VHDX', qemu: 'vhdx', extension: 'vhdx', flags: [] },
  { name: 'QCOW2', qemu: 'qcow2', extension: 'qcow2', flags: [] },
  { name: 'QCOW2 zlib', qemu: 'qcow2', extension: 'zlib.qcow2', flags: ['-c'] },
] as const

/** What is measured: higher is better. */
const measures = [
  { name: 'nbdcopy MB/s', run: (uri: string) => copied(uri, []) },
  { name: 'nbdcopy one connection MB/s', run: (uri: string) => copied(uri, ['--connections=1', '--requests=16']) },
  { name: 'random 4 KiB, 1 deep, /s', run: (uri: string) => random(uri, 1) },
  { name: 'random 4 KiB, 16 deep, /s', run: (uri: string) => random(uri, 16) },
] as const

const folder = values.folder
const runs = Number(values.runs)
const capacity = Number(values.size) * 1024 ** 3
const { full } = buildInputs(folder, capacity)

function copied(uri: string, flags: readonly string[]): number {
  const start = process.hrtime.bigint()
  execFileSync('nbdcopy', [...flags, uri, 'null:'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return capacity / (Number(process.hrtime.bigint() - start) / 1e9) / 1e6
}

function random(uri: string, depth: number): number {
  const text = execFileSync(
    'fio',
    [
      '--name=random',
      '--ioengine=nbd',
      `--uri=${uri}`,
      '--rw=randread',
      '--bs=4k',
      `--iodepth=${depth}`,
      '--time_based',
      `--runtime=${values.seconds}`,
      '--randseed=7',
      '--output-format=json',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  ).toString()
  const {
    jobs: [job],
  } = JSON.parse(text.slice(text.indexOf('{'))) as { jobs: readonly { read: { iops: number } }[] }
  return job?.read.iops ?? NaN
}

async function listening(command: string, args: readonly string[], socket: string): Promise<ChildProcess> {
  fs.rmSync(socket, { force: true })
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  while (!fs.existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`${command} ended`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return child
}

function row(cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`)
}

const firstLine = (program: string, ...args: readonly string[]): string =>
  execFileSync(program, args).toString().trim().split('\n')[0] ?? ''
console.log(
  `vdisk ${firstLine(process.execPath, path.join(root, 'bin/run.js'), '--version')}, ` +
    `${firstLine('qemu-nbd', '--version')}, Node ${process.version}, ` +
    `${os.cpus().length} × ${os.cpus()[0]?.model ?? '?'}, ${full.name}, medians of ${runs} interleaved runs, ` +
    'page cache warm. A ratio above 1 says that vdisk is faster.\n',
)
row(['image', 'measure', 'vdisk serve', 'qemu-nbd', 'ratio'])
row(Array.from({ length: 5 }, () => '---'))
for (const { name, qemu, extension, flags } of formats) {
  if (values.only !== undefined && !name.includes(values.only)) continue
  const image =
    extension === 'raw' ? full.file : path.join(folder, `served-${path.basename(full.file, '.raw')}.${extension}`)
  if (!fs.existsSync(image)) {
    execFileSync('qemu-img', ['convert', ...flags, '-f', 'raw', '-O', qemu, '-S', '0', full.file, `${image}.new`])
    fs.renameSync(`${image}.new`, image)
  }
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), 'vdisk-bench-'))
  const sockets = [path.join(temporary, 'vdisk'), path.join(temporary, 'qemu')] as const
  const servers = [
    await listening(
      process.execPath,
      [path.join(root, 'bin/run.js'), 'serve', image, '--from', qemu, '--persistent', '--socket', sockets[0]],
      sockets[0],
    ),
    await listening('qemu-nbd', ['-r', '-t', '-e', '8', '-f', qemu, '-k', sockets[1], image], sockets[1]),
  ]
  try {
    const uris = sockets.map((socket) => `nbd+unix:///?socket=${socket}`)
    for (const { name: what, run } of measures) {
      const results: number[][] = [[], []]
      for (let round = -1; round < runs; round++) {
        // The order changes from round to round; the first only warms up.
        for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
          const result = run(uris[index] ?? '')
          if (round >= 0) results[index]?.push(result)
        }
      }
      const [ours = NaN, theirs = NaN] = results.map(median)
      row([name, what, ours.toFixed(0), theirs.toFixed(0), (ours / theirs).toFixed(2)])
    }
  } finally {
    for (const server of servers) server.kill('SIGKILL')
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}
