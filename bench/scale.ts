import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { median, run, type Run } from './measure.js'
import { isWanted, options, program } from './row.js'

/**
 * Time and memory as a function of size: each command over images of growing size, and the slope between the smallest
 * and the largest (the power of the size that the time beyond starting grows with: 1 is linear, 2 quadratic).
 */

/** Runs of each command; processor time is what counts, and hardly differs. */
const repeated = 3
const folder = path.join(options.folder, 'scale')
const at = (name: string): string => path.join(folder, name)
const tebibyte = 1024 ** 4
const clusterLength = 65536

const vdisk = (...args: readonly string[]): void =>
  void execFileSync(process.execPath, [program, ...args], { stdio: 'ignore' })
const qemu = (...args: readonly string[]): void => void execFileSync('qemu-img', args, { stdio: 'ignore' })

/** What grows, in which steps; how an image of a size is made, and what is done with it. */
interface Growing {
  readonly name: string
  readonly sizes: readonly number[]
  readonly shown: (size: number) => string
  /** Makes the image and gives its path. */
  readonly make: (size: number) => string
  readonly commands: readonly (readonly string[])[]
}

const target = at('out')
const fileWords = (file: string, words: readonly string[]): readonly string[] =>
  words.map((word) => (word === 'FILE' ? file : word === 'OUT' ? target : word))

/** A QCOW2 of which every cluster, or every second one, is data, in a sparse file. @param step 1 or 2 */
function mapped(file: string, data: number, step: 1 | 2): void {
  const perTable = clusterLength / 8
  const tables = Math.ceil((step * data) / perTable)
  const l1Clusters = Math.ceil((tables * 8) / clusterLength)
  const perBlock = clusterLength / 2
  let blocks = 1
  const used = (): number => 2 + blocks + l1Clusters + tables + data
  while (blocks * perBlock < used()) blocks++
  const [l1, firstTable] = [2 + blocks, 2 + blocks + l1Clusters]
  const firstData = firstTable + tables
  const descriptor = fs.openSync(file, 'w')
  const header = Buffer.alloc(104)
  header.write('QFI\xfb', 'latin1')
  header.writeUInt32BE(3, 4)
  header.writeUInt32BE(16, 20)
  header.writeBigUInt64BE(BigInt(step * data * clusterLength), 24)
  header.writeUInt32BE(tables, 36)
  header.writeBigUInt64BE(BigInt(l1 * clusterLength), 40)
  header.writeBigUInt64BE(BigInt(clusterLength), 48)
  header.writeUInt32BE(1, 56)
  header.writeUInt32BE(4, 96)
  header.writeUInt32BE(104, 100)
  fs.writeSync(descriptor, header, 0, header.length, 0)
  // Entries lead to cluster after cluster: those of `each` entry, from the one numbered `cluster` on.
  const words = (count: number, first: number, each: number, cluster: number, flag: number): void => {
    const bytes = Buffer.alloc(count * 8)
    for (let index = 0; index < count; index += each) {
      const place = (cluster + index / each) * clusterLength
      bytes.writeUInt32BE(flag + Math.floor(place / 2 ** 32), index * 8)
      bytes.writeUInt32BE(place % 2 ** 32, index * 8 + 4)
    }
    fs.writeSync(descriptor, bytes, 0, bytes.length, first * clusterLength)
  }
  const copied = 2 ** 31
  words(blocks, 1, 1, 2, 0)
  words(tables, l1, 1, firstTable, copied)
  for (let table = 0; table < tables; table++) {
    const rest = Math.min(perTable, step * data - table * perTable)
    words(rest, firstTable + table, step, firstData + (table * perTable) / step, copied)
  }
  for (let block = 0; block < blocks; block++) {
    const counts = Buffer.alloc(clusterLength)
    for (let index = 0; index < perBlock && block * perBlock + index < used(); index++)
      counts.writeUInt16BE(1, index * 2)
    fs.writeSync(descriptor, counts, 0, counts.length, (2 + block) * clusterLength)
  }
  fs.ftruncateSync(descriptor, used() * clusterLength)
  fs.closeSync(descriptor)
}

function chain(count: number): string {
  vdisk('create', at('chain-0.qcow2'), '1G', '--force')
  for (let index = 1; index < count; index++)
    qemu('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', `chain-${index - 1}.qcow2`, at(`chain-${index}.qcow2`))
  return at(`chain-${count - 1}.qcow2`)
}

function snapshots(count: number): string {
  const file = at('snapshots.qcow2')
  qemu('create', '-q', '-f', 'qcow2', file, '64M')
  for (let index = 0; index < count; index++) qemu('snapshot', '-c', `s${index}`, file)
  return file
}

const inTebibytes = (size: number): string => `${size / tebibyte} TiB`
const inspecting = [
  ['info', 'FILE'],
  ['map', 'FILE', '--json'],
  ['check', 'FILE'],
] as const
const empty = (format: string): Growing => ({
  name: `mostly empty ${format}`,
  sizes: [1, 4, 16].map((size) => size * tebibyte),
  shown: inTebibytes,
  make(size) {
    const file = at(`empty.${format}`)
    vdisk('create', file, String(size), '--force')
    return file
  },
  commands: [...inspecting, ['convert', 'FILE', 'OUT', '--to', 'qcow2', '--no-flush']],
})
const growing: readonly Growing[] = [
  empty('qcow2'),
  empty('vhdx'),
  {
    name: 'QCOW2, all of it mapped',
    sizes: [0.25, 0.5, 1, 2].map((size) => size * tebibyte),
    shown: inTebibytes,
    make(size) {
      mapped(at('mapped.qcow2'), size / clusterLength, 1)
      return at('mapped.qcow2')
    },
    commands: [...inspecting, ['convert', 'FILE', 'OUT', '--to', 'qcow2', '--no-flush']],
  },
  {
    name: 'QCOW2 of many extents',
    sizes: [125_000, 250_000, 500_000, 1_000_000],
    shown: String,
    make(size) {
      mapped(at('extents.qcow2'), size, 2)
      return at('extents.qcow2')
    },
    commands: [...inspecting, ['convert', 'FILE', 'OUT', '--to', 'qcow2', '--no-flush']],
  },
  {
    name: 'chain of QCOW2',
    sizes: [10, 30, 100],
    shown: String,
    make: chain,
    commands: [...inspecting, ['convert', 'FILE', 'OUT', '--to', 'qcow2', '--no-flush']],
  },
  {
    name: 'snapshots in a QCOW2',
    sizes: [10, 100, 1000],
    shown: String,
    make: snapshots,
    commands: [...inspecting, ['snapshot', 'list', 'FILE']],
  },
]

/** A command over images of growing size. */
export interface Scale {
  readonly name: string
  readonly slope: string
  readonly sizes: readonly { readonly size: string; readonly seconds: number; readonly peak: number }[]
}

export async function* scaleRows(): AsyncGenerator<Scale> {
  const nameOf = (name: string, command: readonly string[]): string => `scale of ${name}: ${command.join(' ')}`
  const wanted = growing.filter(({ name, commands }) => commands.some((command) => isWanted(nameOf(name, command))))
  if (wanted.length === 0) return
  fs.mkdirSync(folder, { recursive: true })
  vdisk('create', at('small.qcow2'), '1M')
  console.log('\n| what | size: s of processor time, peak MiB | slope |\n| --- | --- | --- |')
  for (const { name, sizes, shown, make, commands } of wanted) {
    const results = new Map<readonly string[], { readonly size: number; readonly runs: readonly Run[] }[]>()
    const small = new Map<readonly string[], number>()
    for (const size of sizes) {
      const file = make(size)
      for (const command of commands.filter((one) => isWanted(nameOf(name, one)))) {
        if (!small.has(command)) small.set(command, processor(await runs(fileWords(at('small.qcow2'), command))))
        results.set(command, [...(results.get(command) ?? []), { size, runs: await runs(fileWords(file, command)) }])
      }
    }
    for (const [command, all] of results) yield report(nameOf(name, command), all, small.get(command) ?? 0, shown)
    for (const entry of fs.readdirSync(folder)) if (entry !== 'small.qcow2') fs.rmSync(at(entry), { force: true })
  }
}

async function runs(args: readonly string[]): Promise<Run[]> {
  const all: Run[] = []
  for (let round = 0; round < repeated; round++) {
    fs.rmSync(target, { force: true })
    all.push(await run(process.execPath, [program, ...args]))
  }
  return all
}

function processor(all: readonly Run[]): number {
  return median(all.map((one) => one.processor))
}

function report(
  name: string,
  all: readonly { readonly size: number; readonly runs: readonly Run[] }[],
  starting: number,
  shown: (size: number) => string,
): Scale {
  const sizes = all.map(({ size, runs: own }) => ({
    size: shown(size),
    seconds: processor(own),
    peak: Math.max(...own.map((one) => one.peak)) / 1048576,
  }))
  const [first, last] = [all[0], all.at(-1)]
  const beyond = (one: typeof first): number => (one === undefined ? 0 : processor(one.runs) - starting)
  // Below the resolution of the clock there is no growth to speak of.
  const slope =
    first === undefined || last === undefined || beyond(last) < 0.05
      ? 'none'
      : (Math.log(beyond(last) / Math.max(0.02, beyond(first))) / Math.log(last.size / first.size)).toFixed(2)
  const cells = sizes.map(({ size, seconds, peak }) => `${size}: ${seconds.toFixed(2)}, ${peak.toFixed(0)}`)
  console.log(`| ${name} | ${cells.join('; ')} | ${slope} |`)
  return { name, slope, sizes }
}
