import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { diskLike } from '../test/support/content.js'
import { median } from './measure.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench') },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(`node dist/bench/mount.js [--size MiB] [--rounds N] [--seconds N] [--folder DIR] [--only FORMAT]
Reads a disk through "vdisk mount", through nbdfuse and qemu-nbd, and through vhdimount (fio, past the page
cache of the reader; the image is in the page cache). Rounds are interleaved; the median of each and, last, our ratio
to the best of the others are printed.`)
  process.exit(0)
}

const mebibyte = 1048576
const folder = values.folder
const rounds = Number(values.rounds)
const point = path.join(folder, 'point')
const runtime = path.join(folder, 'runtime')
const vdisk = (...args: readonly string[]): string =>
  execFileSync(process.execPath, [path.join(root, 'bin/run.js'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, VDISK_RUNTIME_DIR: runtime },
  })

const allFormats = [
  { name: 'raw', file: 'mount.raw', qemu: 'raw' },
  { name: 'vhd', file: 'mount.vhd', qemu: 'vpc' },
  { name: 'vhdx', file: 'mount.vhdx', qemu: 'vhdx' },
  { name: 'qcow2', file: 'mount.qcow2', qemu: 'qcow2' },
  { name: 'qcow2, zlib', file: 'mount-zlib.qcow2', qemu: 'qcow2' },
] as const
type Format = (typeof allFormats)[number]
const formats = allFormats.filter(({ name }) => values.only === undefined || name === values.only)

/** Shows an image as a file while it is measured. */
interface Server {
  readonly name: string
  serves(format: Format): boolean
  start(image: string, format: Format): { file: string; stop: () => void }
}

const servers: readonly Server[] = [
  {
    name: 'vdisk',
    serves: () => true,
    start: (image) => {
      const { session } = JSON.parse(vdisk('mount', image, '--json')) as { session: { folder: string } }
      return { file: path.join(session.folder, 'disk.img'), stop: () => vdisk('unmount', image) }
    },
  },
  {
    name: 'nbdfuse + qemu-nbd',
    serves: () => true,
    start: (image, { qemu }) => {
      const socket = path.join(folder, 'nbd')
      const server = spawn(
        'qemu-nbd',
        ['--read-only', '--persistent', '--shared=8', '--cache=writeback', '-f', qemu, '--socket', socket, image],
        { stdio: 'ignore' },
      )
      waitFor(() => fs.existsSync(socket))
      const fuse = spawn('nbdfuse', ['--readonly', point, '--unix', socket], { stdio: 'inherit' })
      const file = path.join(point, 'nbd')
      waitFor(() => fs.existsSync(file))
      return {
        file,
        stop: () => {
          end(fuse, server)
        },
      }
    },
  },
  {
    name: 'vhdimount',
    serves: ({ name }) => name === 'vhd' || name === 'vhdx',
    start: (image) => {
      execFileSync('vhdimount', [image, point], { stdio: 'ignore' })
      const file = path.join(point, 'vhdi1')
      waitFor(() => fs.existsSync(file))
      return {
        file,
        stop: () => {
          end()
        },
      }
    },
  },
]

function end(...programs: readonly ChildProcess[]): void {
  spawnSync('umount', [point])
  for (const program of programs) program.kill()
  fs.rmSync(path.join(folder, 'nbd'), { force: true })
}

function waitFor(there: () => boolean): void {
  for (let tries = 0; !there(); tries++) {
    if (tries > 500) throw new Error('a server does not start')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  }
}

const measures = [
  {
    name: 'random 4 KiB, IOPS',
    parameters: ['--rw=randread', '--bs=4k', '--numjobs=1'],
    of: ({ iops }: Reading) => iops,
  },
  {
    name: 'random 4 KiB by 4, IOPS',
    parameters: ['--rw=randread', '--bs=4k', '--numjobs=4'],
    of: ({ iops }: Reading) => iops,
  },
  {
    name: 'sequential 1 MiB, MB/s',
    parameters: ['--rw=read', '--bs=1m', '--numjobs=1'],
    of: ({ bw_bytes }: Reading) => bw_bytes / 1e6,
  },
] as const
interface Reading {
  readonly iops: number
  readonly bw_bytes: number
}

function measure(file: string, parameters: readonly string[]): Reading {
  const text = execFileSync(
    'fio',
    [
      '--name=read',
      `--filename=${file}`,
      '--readonly',
      '--direct=1',
      '--ioengine=psync',
      '--time_based',
      '--ramp_time=1.5',
      `--runtime=${values.seconds}`,
      '--group_reporting',
      '--output-format=json',
      '--allow_file_create=0',
      ...parameters,
    ],
    { encoding: 'utf8' },
  )
  const { jobs } = JSON.parse(text.slice(text.indexOf('{'))) as { jobs: { read: Reading }[] }
  const [job] = jobs
  if (job === undefined) throw new Error('fio measured nothing')
  return job.read
}

function inputs(): void {
  fs.mkdirSync(point, { recursive: true })
  const raw = path.join(folder, 'mount.raw')
  if (!fs.existsSync(raw) || fs.statSync(raw).size !== Number(values.size) * mebibyte) {
    const file = fs.openSync(raw, 'w')
    for (let index = 0; index < Number(values.size) / 16; index++)
      fs.writeSync(file, diskLike(16 * mebibyte, index + 1), 0, 16 * mebibyte, index * 16 * mebibyte)
    fs.closeSync(file)
  }
  for (const { file, qemu } of allFormats.slice(1)) {
    execFileSync('qemu-img', [
      'convert',
      ...(file.includes('zlib') ? ['-c'] : []),
      ...(qemu === 'vpc' ? ['-o', 'force_size'] : []),
      '-f',
      'raw',
      '-O',
      qemu,
      raw,
      path.join(folder, file),
    ])
  }
}

inputs()
const results = new Map<string, number[]>()
for (let round = 0; round < rounds; round++) {
  for (const format of formats) {
    const image = path.join(folder, format.file)
    for (const server of servers.filter((each) => each.serves(format))) {
      const { file, stop } = server.start(image, format)
      try {
        for (const { name, parameters, of } of measures) {
          const key = JSON.stringify([format.name, name, server.name])
          results.set(key, [...(results.get(key) ?? []), of(measure(file, parameters))])
        }
      } finally {
        stop()
      }
    }
  }
}
console.log(
  `Node ${process.version}, ${values.size} MiB, medians of ${rounds} interleaved rounds of ${values.seconds} ` +
    's, after 1.5 s that do not count\n',
)
console.log(`| image | reads | ${servers.map(({ name }) => name).join(' | ')} | vdisk to the best other |`)
console.log(`| --- | --- | ${servers.map(() => '---').join(' | ')} | --- |`)
for (const format of formats) {
  for (const { name } of measures) {
    const numbers = servers.map((server) => median(results.get(JSON.stringify([format.name, name, server.name])) ?? []))
    const [ours = NaN, ...others] = numbers
    const best = Math.max(...others.filter((each) => !Number.isNaN(each)))
    console.log(
      `| ${format.name} | ${name} | ` +
        (`${numbers.map((each) => (Number.isNaN(each) ? '' : String(Math.round(each)))).join(' | ')} | ` +
          `${(ours / best).toFixed(2)} |`),
    )
  }
}
