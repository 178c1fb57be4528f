import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { diskLike } from '../test/support/content.js'
import { have, isRoot, isWanted, options, program, rounds, type Throughput } from './row.js'

/** Bytes of the disk, and seconds of each reading, which begins after some that do not count. */
const size = 512
const seconds = 1
const warming = 0.5

const mebibyte = 1048576
const folder = path.join(options.folder, 'mounting')
const point = path.join(folder, 'point')
const runtime = path.join(folder, 'runtime')
const vdisk = (...args: readonly string[]): string =>
  execFileSync(process.execPath, [program, ...args], {
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
    name: 'random reads',
    work: '10,000 of 4 KiB',
    parameters: ['--rw=randread', '--bs=4k', '--numjobs=1'],
    of: ({ iops }: Reading) => 10_000 / iops,
  },
  {
    name: 'random reads by four',
    work: '10,000 of 4 KiB',
    parameters: ['--rw=randread', '--bs=4k', '--numjobs=4'],
    of: ({ iops }: Reading) => 10_000 / iops,
  },
  {
    name: 'reading in order',
    work: '1 GB',
    parameters: ['--rw=read', '--bs=1m', '--numjobs=1'],
    of: ({ bw_bytes }: Reading) => 1e9 / bw_bytes,
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
      `--ramp_time=${warming}`,
      `--runtime=${seconds}`,
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
  if (!fs.existsSync(raw) || fs.statSync(raw).size !== size * mebibyte) {
    const file = fs.openSync(raw, 'w')
    for (let index = 0; index < size / 16; index++)
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

/** A disk through "vdisk mount", through nbdfuse and qemu-nbd, and through vhdimount, past the reader's page cache. */
export async function* mountRows(): AsyncGenerator<Throughput> {
  const nameOf = (format: string, measure: string): string => `mount of ${format}, ${measure}`
  const formats = allFormats.filter(({ name }) => measures.some((each) => isWanted(nameOf(name, each.name))))
  if (formats.length === 0 || !isRoot || !have('mount', 'qemu-nbd', 'nbdfuse', 'vhdimount', 'fio')) return
  inputs()
  for (const format of formats) {
    const image = path.join(folder, format.file)
    const own = servers.filter((each) => each.serves(format))
    const results = new Map<string, number[]>()
    const wanted = measures.filter((each) => isWanted(nameOf(format.name, each.name)))
    for (let round = 0; round < rounds; round++) {
      for (const server of round % 2 === 0 ? own : [...own].reverse()) {
        const { file, stop } = server.start(image, format)
        try {
          for (const { name, parameters, of } of wanted) {
            const key = JSON.stringify([name, server.name])
            results.set(key, [...(results.get(key) ?? []), of(await Promise.resolve(measure(file, parameters)))])
          }
        } finally {
          stop()
        }
      }
    }
    for (const { name, work } of wanted) {
      const [ours, ...peers] = own.map((server) => ({
        name: server.name,
        seconds: results.get(JSON.stringify([name, server.name])) ?? [],
      }))
      yield { name: nameOf(format.name, name), goal: 1, work, ours: ours?.seconds ?? [], peers }
    }
  }
}
