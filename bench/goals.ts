import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { backupRows } from './backup-rows.js'
import { deviceRows, mountInputs, reflinkRows } from './device-rows.js'
import { fileRows } from './file-rows.js'
import { netRows } from './net-rows.js'
import { incrementalRows } from './incremental-rows.js'
import { imageRows, makeImages, makeInputs } from './image-rows.js'
import { inBalancedOrder, median, run, type Run } from './measure.js'
import { mountRows } from './mount.js'
import { isWanted, machine, options, root, rounds, type Command, type Row, type Throughput } from './row.js'
import { scaleRows } from './scale.js'
import { servingRows } from './serve.js'

/**
 * The rows that vdisk has goals for, each against the best of its peers: medians of runs in balanced order, printed,
 * and written to bench/results.json.
 */

/** A Node that vdisk runs with: its version and its file. */
interface NodeProgram {
  readonly version: string
  readonly file: string
}
const nodes: readonly NodeProgram[] = [process.execPath, ...options.node].map((file) => ({
  version: execFileSync(file, ['--version'], { encoding: 'utf8' }).trim(),
  file,
}))
const withNode = ({ name, argv }: Command, { file }: NodeProgram): Command => ({
  name,
  argv: argv.map((word) => (word === process.execPath ? file : word)),
})

/** What one command of a row took. */
interface Measured {
  readonly name: string
  readonly seconds: readonly number[]
  readonly peak: number
}

async function measure({
  name,
  goal,
  ours,
  peers,
  target,
  flushed = false,
  peersAreNode = false,
}: Row): Promise<Result> {
  const own = nodes.map((node) => withNode(ours, node))
  const theirs = peersAreNode ? nodes.flatMap((node) => peers.map((one) => withNode(one, node))) : peers
  const commands = [...own, ...theirs]
  const runs: Run[][] = commands.map(() => [])
  for (const [index, { argv }] of inBalancedOrder([...commands.entries()], rounds)) {
    if (target !== undefined) fs.rmSync(target, { recursive: true, force: true })
    const [file = '', ...args] = options['real-time'] ? ['chrt', '-r', '10', ...argv] : argv
    runs[index]?.push(await run(file, args, flushed ? target : undefined))
  }
  const measured = commands.map((command, index): Measured => ({
    name: command.name,
    seconds: (runs[index] ?? []).map((one) => (flushed ? one.flushed : one.seconds)),
    peak: Math.max(...(runs[index] ?? []).map((one) => one.peak)) / 1048576,
  }))
  const results = nodes.map(({ version }, index) => {
    const others = measured.slice(nodes.length)
    const mine = peersAreNode ? others.slice(index * peers.length, (index + 1) * peers.length) : others
    const [best] = [...mine].sort((a, b) => median(a.seconds) - median(b.seconds))
    const vdisk = measured[index]
    if (best === undefined || vdisk === undefined) throw new Error(`${name} has no peer`)
    return { node: version, ratio: median(vdisk.seconds) / median(best.seconds), vdisk, peer: best }
  })
  printRow(name, goal, results)
  return { name, goal, results }
}

/** The same for what was measured while it served: with the Node that runs this. */
function resultOf({ name, goal, work, ours, peers }: Throughput): Result {
  const measured = (of: string, seconds: readonly number[]): Measured => ({ name: of, seconds, peak: 0 })
  const [best] = peers
    .map((one) => measured(one.name, one.seconds))
    .sort((a, b) => median(a.seconds) - median(b.seconds))
  if (best === undefined) throw new Error(`${name} has no peer`)
  const results = [
    { node: process.version, ratio: median(ours) / median(best.seconds), vdisk: measured('vdisk', ours), peer: best },
  ]
  printRow(`${name}: ${work}`, goal, results)
  return { name, goal, results }
}

function printRow(
  name: string,
  goal: number,
  results: readonly { readonly ratio: number; readonly vdisk: Measured; readonly peer: Measured }[],
): void {
  const [first, ...others] = results
  if (first === undefined) return
  const spread = (all: readonly number[]): string =>
    `${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)})`
  const { vdisk, peer: best, ratio } = first
  const cells = [
    name,
    spread(vdisk.seconds),
    `${best.name}: ${spread(best.seconds)}`,
    ratio.toFixed(2),
    ...others.map((other) => other.ratio.toFixed(2)),
    `≤ ${goal}`,
    results.every((one) => one.ratio <= goal) ? 'met' : ratio <= goal ? 'met here' : 'not met',
    Math.max(...results.map((one) => one.vdisk.peak)).toFixed(0),
  ]
  console.log(`| ${cells.join(' | ')} |`)
}

/** What is kept of a row. */
interface Result {
  readonly name: string
  readonly goal: number
  readonly results: readonly object[]
}
const file = path.join(root, 'bench/results.json')

/** Rows that were not asked for stay in the file as they were. */
function save(results: readonly { readonly name: string }[]): void {
  const known = fs.existsSync(file)
    ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { results: { name: string }[] }).results
    : []
  const date = new Date().toISOString().slice(0, 10)
  const how = {
    date,
    nodes: nodes.map(({ version }) => version),
    qemu: execFileSync('qemu-img', ['--version'], { encoding: 'utf8' }).split('\n')[0],
    machine,
    dataMiB: Number(options.size),
    rounds,
  }
  const renewed = new Map(results.map((result) => [result.name, { ...result, ...how }]))
  const kept = known.map((old) => renewed.get(old.name) ?? old)
  const added = [...renewed.values()].filter(({ name }) => !known.some((old) => old.name === name))
  fs.writeFileSync(file, `${JSON.stringify({ results: [...kept, ...added] }, null, 2)}\n`)
}

fs.rmSync(options.folder, { recursive: true, force: true })
const images = imageRows().filter(({ name }) => isWanted(name))
const isIncremental = isWanted('incremental image, 1 % changed, against a whole one')
const onDevices = isIncremental || ['reflink', 'restore onto a device', 'clone of a device'].some(isWanted)
const isBackup = ['partclone', 'Clonezilla folder, zst', 'Clonezilla folder, gz', 'ntfsclone', 'E01'].some((name) =>
  isWanted(`${name} → raw, against its own tool`),
)
if (images.length > 0 || onDevices || isBackup) {
  makeInputs()
  await makeImages((file) => images.some(({ ours, peers }) => [ours, ...peers].some(({ argv }) => argv.includes(file))))
}
const mounted = onDevices ? mountInputs() : undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    mounted?.end()
    process.exit(130)
  })
console.log(
  `Node ${nodes.map(({ version }) => version).join(', ')}, ${machine}, ${options.size} MiB, ${rounds} rounds\n`,
)
const heads = [
  'row',
  'vdisk s (lowest–highest)',
  'best peer s',
  ...nodes.map(({ version }) => `ratio, ${version}`),
  'goal',
  '',
  'vdisk MiB',
]
console.log(`| ${heads.join(' | ')} |\n| ${heads.map(() => '---').join(' | ')} |`)
try {
  const rows = [
    ...images,
    ...(isBackup ? backupRows() : []),
    ...(mounted === undefined ? [] : [...reflinkRows(mounted), ...deviceRows(mounted)]),
    ...(mounted === undefined || !isIncremental ? [] : incrementalRows(mounted)),
  ]
  for (const row of [...rows, ...(options.quick ? [] : fileRows())].filter(({ name }) => isWanted(name)))
    save([await measure(row)])
  if (!options.quick) {
    for await (const row of servingRows()) save([resultOf(row)])
    for await (const row of netRows()) save([resultOf(row)])
    for await (const row of mountRows()) save([resultOf(row)])
    for await (const row of scaleRows()) save([row])
  }
} finally {
  mounted?.end()
  fs.rmSync(options.folder, { recursive: true, force: true })
}
