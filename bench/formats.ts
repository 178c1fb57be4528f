import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildInputs } from './inputs.js'
import { inBalancedOrder, median, run, type Run } from './measure.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '4' },
    runs: { type: 'string', default: '4' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench') },
    only: { type: 'string' },
    input: { type: 'string', default: 'half,full,large' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(`npm run bench:formats -- [--size GiB] [--runs N] [--folder DIR] [--input half,full,large] [--only TEXT]
Converts the same images with vdisk and with qemu-img, in turn, and prints the median of each and their ratio.
qemu-img is taken at its best: each pair is run with its default flags and with -m 16 -W, and the better median counts.
"flushed" is until the image is on the medium, which vdisk waits for and qemu-img does not;
"not flushed" is qemu-img as it is against vdisk --no-flush.
--size   capacity of the first two inputs in GiB (4); the third is 16 times that
--only   only pairs whose name holds this text`)
  process.exit(0)
}

/** What a pair converts to: our flags and qemu-img's for the same image. */
interface Format {
  readonly name: string
  readonly qemu: string
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  readonly extension: string
}
const formats = {
  raw: { name: 'raw', qemu: 'raw', ours: [], theirs: [], extension: 'raw' },
  qcow2: { name: 'qcow2', qemu: 'qcow2', ours: [], theirs: [], extension: 'qcow2' },
  vhd: { name: 'vhd', qemu: 'vpc', ours: [], theirs: ['-o', 'force_size'], extension: 'vhd' },
  vhdx: { name: 'vhdx', qemu: 'vhdx', ours: [], theirs: [], extension: 'vhdx' },
  zlib: { name: 'qcow2 zlib', qemu: 'qcow2', ours: ['--compress', 'zlib'], theirs: ['-c'], extension: 'qcow2' },
  zstd: {
    name: 'qcow2 zstd',
    qemu: 'qcow2',
    ours: ['--compress', 'zstd'],
    theirs: ['-c', '-o', 'compression_type=zstd'],
    extension: 'qcow2',
  },
} as const satisfies Record<string, Format>
type Name = keyof typeof formats

const pairs: readonly [Name, Name][] = [
  ['raw', 'raw'],
  ['raw', 'qcow2'],
  ['raw', 'vhd'],
  ['raw', 'vhdx'],
  ['qcow2', 'raw'],
  ['vhdx', 'raw'],
  ['vhd', 'raw'],
  ['qcow2', 'vhdx'],
  ['vhdx', 'qcow2'],
  ['raw', 'zlib'],
  ['raw', 'zstd'],
  ['zlib', 'raw'],
  ['zstd', 'raw'],
]
/** qemu-img's flags that make it faster; which one wins differs from pair to pair. */
const qemuFlags: readonly (readonly string[])[] = [[], ['-m', '16', '-W']]

type Command = readonly [string, readonly string[]]

const folder = values.folder
const runs = Number(values.runs)
const ours = path.join(root, 'bin', 'run.js')
const inputs = buildInputs(folder, Number(values.size) * 1024 ** 3)
const chosen = values.input.split(',').map((name) => {
  if (name === 'half' || name === 'full' || name === 'large') return inputs[name]
  throw new Error(`--input takes half, full and large, not ${name}`)
})

function qemuArgs(from: Format, to: Format, source: string, target: string, flags: readonly string[]): string[] {
  return ['convert', ...flags, '-f', from.qemu, '-O', to.qemu, ...to.theirs, source, target]
}

async function timed(command: string, args: readonly string[], target: string): Promise<Run> {
  fs.rmSync(target, { force: true })
  // Written pages of the run before must not be charged to this one.
  execFileSync('sync')
  return await run(command, args, target)
}

function ourName({ qemu }: Format): string {
  return qemu === 'vpc' ? 'vhd' : qemu
}

function row(cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`)
}

console.log(
  `vdisk ${execFileSync(process.execPath, [ours, '--version']).toString().trim()}, ` +
    (`${execFileSync('qemu-img', ['--version']).toString().split('\n')[0] ?? ''}, Node ${process.version}, ` +
      `${os.cpus().length} × ${os.cpus()[0]?.model ?? '?'}, medians of ${runs} interleaved runs, page cache warm.`),
)
console.log(
  '"flushed": until the image is on the medium (vdisk as it is; qemu-img and an fsync of its target). "not ' +
    'flushed": vdisk --no-flush; qemu-img as it is.\n',
)
for (const input of chosen) {
  console.log(`\n### ${input.name}\n`)
  row([
    'pair',
    'flushed: vdisk s',
    'qemu-img s',
    'ratio',
    'not flushed: vdisk s',
    'qemu-img s',
    'ratio',
    'vdisk MiB',
    'qemu-img MiB',
  ])
  row(Array.from({ length: 9 }, () => '---'))
  for (const [fromName, toName] of pairs) {
    const from: Format = formats[fromName]
    const to: Format = formats[toName]
    const title = `${from.name} → ${to.name}`
    if (values.only !== undefined && !title.includes(values.only)) continue
    const source =
      fromName === 'raw'
        ? input.file
        : path.join(folder, `source-${path.basename(input.file, '.raw')}-${fromName}.${from.extension}`)
    if (!fs.existsSync(source)) {
      execFileSync('qemu-img', qemuArgs(formats.raw, from, input.file, `${source}.new`, []))
      fs.renameSync(`${source}.new`, source)
    }
    const target = path.join(folder, `target.${to.extension}`)
    const own = [
      'convert',
      '--progress',
      'none',
      '--from',
      ourName(from),
      '--to',
      ourName(to),
      ...to.ours,
      source,
      target,
    ]
    const warming: Command = [process.execPath, [ours, ...own]]
    const commands: readonly Command[] = [
      warming,
      [process.execPath, [ours, ...own, '--no-flush']],
      ...qemuFlags.map((flags): Command => ['qemu-img', qemuArgs(from, to, source, target, flags)]),
    ]
    const results: Run[][] = commands.map(() => [])
    await timed(...warming, target)
    // Who follows a run that freed its page cache finds memory at hand; after one that went past the cache, a virtual
    // machine must get it from its host first.
    for (const [index, command] of inBalancedOrder([...commands.entries()], runs))
      results[index]?.push(await timed(...command, target))
    const [durable = [], quick = [], ...theirs] = results
    fs.rmSync(target, { force: true })
    const seconds = (results: readonly Run[]): number => median(results.map((result) => result.seconds))
    const flushed = (results: readonly Run[]): number => median(results.map((result) => result.flushed))
    const peak = (results: readonly Run[]): string =>
      (Math.max(...results.map((result) => result.peak)) / 1024 ** 2).toFixed(0)
    const best = { seconds: Math.min(...theirs.map(seconds)), flushed: Math.min(...theirs.map(flushed)) }
    row([
      title,
      flushed(durable).toFixed(2),
      best.flushed.toFixed(2),
      (flushed(durable) / best.flushed).toFixed(2),
      seconds(quick).toFixed(2),
      best.seconds.toFixed(2),
      (seconds(quick) / best.seconds).toFixed(2),
      peak([...durable, ...quick]),
      peak(theirs.flat()),
    ])
  }
}

const infoRuns: number[] = []
for (let round = 0; round < 2 * runs; round++)
  infoRuns.push((await run(process.execPath, [ours, 'info', inputs.half.file])).seconds)
console.log(
  `\n\`vdisk info\` started, answered and gone: ${(median(infoRuns) * 1000).toFixed(0)} ms (median of ` +
    `${infoRuns.length})`,
)
