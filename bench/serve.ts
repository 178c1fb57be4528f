import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buildInputs } from './inputs.js'
import { have, isWanted, options, program, rounds, type Throughput } from './row.js'

/** Seconds of random reads in a round. */
const seconds = 1

const formats = [
  { name: 'raw', qemu: 'raw', extension: 'raw', flags: [] },
  { name: 'VHDX', qemu: 'vhdx', extension: 'vhdx', flags: [] },
  { name: 'QCOW2', qemu: 'qcow2', extension: 'qcow2', flags: [] },
  { name: 'QCOW2 zlib', qemu: 'qcow2', extension: 'zlib.qcow2', flags: ['-c'] },
] as const

/** Each gives the seconds of its work. */
const measures = [
  { name: 'nbdcopy', work: '1 GiB', run: (uri: string) => copied(uri, []) },
  {
    name: 'nbdcopy by one connection',
    work: '1 GiB',
    run: (uri: string) => copied(uri, ['--connections=1', '--requests=16']),
  },
  { name: 'random reads', work: '10,000 of 4 KiB', run: (uri: string) => random(uri, 1) },
  { name: 'random reads, 16 deep', work: '10,000 of 4 KiB', run: (uri: string) => random(uri, 16) },
] as const

const folder = path.join(options.folder, 'serving')
const capacity = 1024 ** 3

function copied(uri: string, flags: readonly string[]): number {
  const start = process.hrtime.bigint()
  execFileSync('nbdcopy', [...flags, uri, 'null:'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return Number(process.hrtime.bigint() - start) / 1e9
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
      `--runtime=${seconds}`,
      '--randseed=7',
      '--output-format=json',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  ).toString()
  const {
    jobs: [job],
  } = JSON.parse(text.slice(text.indexOf('{'))) as { jobs: readonly { read: { iops: number } }[] }
  return 10_000 / (job?.read.iops ?? NaN)
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

/** The same images through vdisk serve and through qemu-nbd, in turn. */
export async function* servingRows(): AsyncGenerator<Throughput> {
  const nameOf = (format: string, measure: string): string => `serving of ${format}, ${measure}`
  const wanted = formats.filter(({ name }) => measures.some((measure) => isWanted(nameOf(name, measure.name))))
  if (wanted.length === 0 || !have('serving', 'qemu-nbd', 'nbdcopy', 'fio')) return
  const { full } = buildInputs(folder, capacity)
  for (const { name, qemu, extension, flags } of wanted) {
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
        [program, 'serve', image, '--from', qemu, '--persistent', '--socket', sockets[0]],
        sockets[0],
      ),
      await listening('qemu-nbd', ['-r', '-t', '-e', '8', '-f', qemu, '-k', sockets[1], image], sockets[1]),
    ]
    try {
      const uris = sockets.map((socket) => `nbd+unix:///?socket=${socket}`)
      for (const measure of measures) {
        if (!isWanted(nameOf(name, measure.name))) continue
        const results: [number[], number[]] = [[], []]
        for (let round = -1; round < rounds; round++) {
          // The order changes from round to round; the first only warms up.
          for (const index of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
            const result = measure.run(uris[index] ?? '')
            if (round >= 0) results[index].push(result)
          }
        }
        yield {
          name: nameOf(name, measure.name),
          goal: 1,
          work: measure.work,
          ours: results[0],
          peers: [{ name: 'qemu-nbd', seconds: results[1] }],
        }
      }
    } finally {
      for (const server of servers) server.kill('SIGKILL')
      fs.rmSync(temporary, { recursive: true, force: true })
    }
  }
}
