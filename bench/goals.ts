import { randomFillSync } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { backupRows } from './backup-rows.js'
import { inBalancedOrder, median, run, type Run } from './measure.js'

/**
 * The rows that vdisk has goals for, each against the best of its peers: medians of runs in balanced order, printed,
 * and written to bench/results.json.
 */
const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1024' },
    runs: { type: 'string', default: '8' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench-goals') },
    only: { type: 'string' },
    node: { type: 'string', multiple: true, default: [] },
    'real-time': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(`npm run bench -- [--size MiB of data] [--runs N] [--folder DIR] [--only TEXT] [--node FILE]...
  [--real-time]
npm run bench:quick is the same with 128 MiB and 4 runs.
--node       also runs vdisk with this Node; npx -p node@24 node -p process.execPath prints one
--real-time  runs everything at real-time priority (root), on a machine that others use meanwhile`)
  process.exit(0)
}
// Certificates that Node is to load as it starts have nothing to do with what is measured.
delete process.env['NODE_EXTRA_CA_CERTS']
const rounds = Number(values.runs)
const dataSize = Number(values.size) * 1048576
const at = (name: string): string => path.join(values.folder, name)
const program = path.join(root, 'bin/run.js')
const vdisk = (...args: string[]): Command => ({
  name: `vdisk ${args[0] ?? ''}`,
  argv: [process.execPath, program, ...args],
})
const peer = (...argv: string[]): Command => ({
  name: argv[1]?.includes('/') === false ? argv.slice(0, 2).join(' ') : (argv[0] ?? ''),
  argv,
})
const qemu = (...args: string[]): Command => peer('qemu-img', ...args)

interface Command {
  readonly name: string
  readonly argv: readonly string[]
}

/** A Node that vdisk runs with: its version and its file. */
interface NodeProgram {
  readonly version: string
  readonly file: string
}
const nodes: readonly NodeProgram[] = [process.execPath, ...values.node].map((file) => ({
  version: execFileSync(file, ['--version'], { encoding: 'utf8' }).trim(),
  file,
}))
const withNode = ({ name, argv }: Command, { file }: NodeProgram): Command => ({
  name,
  argv: argv.map((word) => (word === process.execPath ? file : word)),
})

interface Row {
  readonly name: string
  readonly goal: number
  readonly ours: Command
  readonly peers: readonly Command[]
  /** What both write: removed before each run. */
  readonly target?: string
  /** Whether the peers are Node programs too: each Node of ours has its own. */
  readonly peersAreNode?: boolean
  /** Whether the time until the target is on the medium counts. */
  readonly flushed?: boolean
}

const files = { random: at('random.raw'), small: at('small.raw'), files: at('files.raw'), out: at('out') }

/** A disk of twice its data, the data random; and a small one. */
function makeInputs(): void {
  fs.mkdirSync(values.folder, { recursive: true })
  const chunk = Buffer.allocUnsafe(1048576)
  for (const [name, size] of [
    [files.random, dataSize],
    [files.small, 16 * 1048576],
  ] as const) {
    const descriptor = fs.openSync(name, 'w')
    for (let done = 0; done < size; done += chunk.length)
      fs.writeSync(descriptor, randomFillSync(chunk), 0, chunk.length, done)
    fs.ftruncateSync(descriptor, size * 2)
    fs.fsyncSync(descriptor)
    fs.closeSync(descriptor)
  }
  // Files of this machine, one behind the other: what a compressor meets in a disk.
  const descriptor = fs.openSync(files.files, 'w')
  let done = 0
  for (const folder of ['/usr/bin', '/usr/lib/x86_64-linux-gnu', '/usr/share/doc']) {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isFile() || done >= dataSize / 2) continue
      const bytes = fs.readFileSync(path.join(folder, entry.name))
      fs.writeSync(descriptor, bytes, 0, bytes.length, done)
      done += Math.ceil(bytes.length / 4096) * 4096
    }
  }
  fs.ftruncateSync(descriptor, Math.ceil(done / 1048576) * 1048576)
  fs.fsyncSync(descriptor)
  fs.closeSync(descriptor)
}

/** Images of the input in every format, made by qemu-img. */
async function makeImages(): Promise<void> {
  for (const [name, format] of formats)
    await run('qemu-img', ['convert', '-O', format, files.random, at(`in.${name}`)], at(`in.${name}`))
  for (const type of ['zlib', 'zstd'])
    await run('qemu-img', [
      'convert',
      '-c',
      '-O',
      'qcow2',
      '-o',
      `compression_type=${type}`,
      files.files,
      at(`in-${type}.qcow2`),
    ])
  for (const format of ['vmdk', 'vdi'])
    await run('qemu-img', ['convert', '-O', format, files.random, at(`in.${format}`)], at(`in.${format}`))
  const optimised = ['-O', 'vmdk', '-o', 'subformat=streamOptimized']
  await run('qemu-img', ['convert', ...optimised, files.files, at('in-stream.vmdk')])
  for (const [extension, command] of [
    ['gz', 'gzip -c'],
    ['xz', 'xz -T0 -c'],
    ['zst', 'zstd -q'],
  ] as const)
    await run('sh', ['-c', `${command} < "$0" > "$1"`, files.files, at(`in.raw.${extension}`)])
}

const formats = [
  ['raw', 'raw'],
  ['qcow2', 'qcow2'],
  ['vhd', 'vpc'],
  ['vhdx', 'vhdx'],
] as const

function conversions(): Row[] {
  const pairs = [
    ...formats.map((format) => [formats[0], format] as const),
    ...formats.slice(1).map((format) => [format, formats[0]] as const),
  ]
  return pairs.flatMap(([[from, fromQemu], [to, toQemu]]) => {
    const source = from === 'raw' ? files.random : at(`in.${from}`)
    const target = `${files.out}.${to}`
    const peers = [qemu('convert', '-W', '-m', '16', '-f', fromQemu, '-O', toQemu, source, target)]
    return [
      {
        name: `${from} → ${to}, not flushed`,
        goal: 1,
        ours: vdisk('convert', source, target, '--no-flush'),
        peers,
        target,
      },
      {
        name: `${from} → ${to}, on the medium`,
        goal: 0.8,
        ours: vdisk('convert', source, target),
        peers,
        target,
        flushed: true,
      },
    ]
  })
}

/** Pairs on XFS in a file, where blocks are shared instead of copied; as root only. Start-up counts for nothing. */
function reflinks(): Row[] {
  if (mounted === undefined) return []
  const { folder } = mounted
  const source = path.join(folder, 'source.raw')
  return ['raw', 'qcow2', 'vhdx'].map((format) => ({
    name: `raw → ${format} on XFS by reflink, against cp --reflink and start-up`,
    goal: 1.2,
    ours: vdisk('convert', source, path.join(folder, `out.${format}`), '--no-flush'),
    peers: [
      {
        name: 'vdisk info, and cp',
        argv: [
          'sh',
          '-c',
          '"$0" "$1" info "$2" > /dev/null && exec cp --reflink=always "$2" "$3"',
          process.execPath,
          program,
          source,
          path.join(folder, `out.${format}`),
        ],
      },
    ],
    target: path.join(folder, `out.${format}`),
    peersAreNode: true,
  }))
}

/** Onto a loop device over a file, past the page cache and flushed; as root only. */
function devices(): Row[] {
  if (mounted === undefined) return []
  const { device, other } = mounted
  const word = ['--no-verify', '--yes', '--confirm', String(2 * dataSize), '--allow-no-table']
  const qemuOut = ['convert', '-n', '-t', 'none', '-f', 'raw', '-O', 'raw', files.random, device]
  return [
    {
      name: 'restore onto a device, on the medium',
      goal: 0.9,
      ours: vdisk('restore', files.random, device, ...word),
      peers: [
        qemu(...qemuOut),
        peer('dd', `if=${files.random}`, `of=${device}`, 'bs=4M', 'oflag=direct', 'conv=fsync', 'status=none'),
      ],
    },
    {
      name: 'clone of a device, on the medium',
      goal: 0.9,
      ours: vdisk('clone', device, other, ...word),
      peers: [
        qemu('convert', '-n', '-W', '-m', '16', '-t', 'none', '-T', 'none', '-f', 'raw', '-O', 'raw', device, other),
        peer('dd', `if=${device}`, `of=${other}`, 'bs=4M', 'iflag=direct', 'oflag=direct', 'conv=fsync'),
      ],
    },
  ]
}

/** A server from its start until nbdcopy has read all of the disk. */
function serving(): Row[] {
  const socket = at('socket')
  const copied = (...server: readonly string[]): readonly string[] => [
    'sh',
    '-c',
    'rm -f "$0"; "$@" & while ! [ -S "$0" ]; do sleep 0.005; done; nbdcopy "nbd+unix:///?socket=$0" null:; wait',
    socket,
    ...server,
  ]
  return [
    ['raw', 'raw', files.random],
    ['qcow2', 'qcow2', at('in.qcow2')],
    ['vhdx', 'vhdx', at('in.vhdx')],
  ].map(([name = '', format = '', file = '']) => ({
    name: `serve of ${name}, read once by nbdcopy`,
    goal: 1,
    ours: {
      name: 'vdisk serve',
      argv: copied(process.execPath, program, 'serve', file, '--from', format, '--socket', socket),
    },
    peers: [{ name: 'qemu-nbd', argv: copied('qemu-nbd', '-r', '-e', '8', '-f', format, '-k', socket, file) }],
  }))
}

/** A loop device, and a folder of an XFS in a file, for the rows that need them. */
interface Mounted {
  readonly folder: string
  readonly device: string
  readonly other: string
  end(): void
}

function mountInputs(): Mounted | undefined {
  if (process.getuid?.() !== 0) return undefined
  const [folder, image, disks] = [at('xfs'), at('xfs.img'), [at('device.img'), at('other.img')]]
  const tool = (file: string, ...args: string[]): string => execFileSync(file, args, { encoding: 'utf8' }).trim()
  fs.mkdirSync(folder, { recursive: true })
  fs.closeSync(fs.openSync(image, 'w'))
  fs.truncateSync(image, 4 * dataSize + 512 * 1048576)
  tool('mkfs.xfs', '-q', '-f', image)
  const xfs = tool('losetup', '-f', '--show', image)
  tool('mount', xfs, folder)
  fs.copyFileSync(files.random, path.join(folder, 'source.raw'))
  const [device = '', other = ''] = disks.map((disk) => {
    fs.closeSync(fs.openSync(disk, 'w'))
    fs.truncateSync(disk, 2 * dataSize)
    return tool('losetup', '-f', '--show', disk)
  })
  return {
    folder,
    device,
    other,
    end() {
      tool('umount', folder)
      tool('losetup', '-d', xfs)
      tool('losetup', '-d', device)
      tool('losetup', '-d', other)
    },
  }
}

/** Compressed files of a raw disk, both ways, against the programs that make them. */
function compressedFiles(): Row[] {
  const raw = `${files.out}.raw`
  const shell = (name: string, command: string, ...args: string[]): Command => ({
    name,
    argv: ['sh', '-c', command, ...args],
  })
  const reading = (extension: string, name: string, command: string): Row => ({
    name: `raw.${extension} → raw`,
    goal: 1.1,
    ours: vdisk('convert', at(`in.raw.${extension}`), raw, '--no-flush'),
    peers: [shell(name, command, at(`in.raw.${extension}`), raw)],
    target: raw,
  })
  const writing = (extension: string, program: string, ...args: string[]): Row => {
    const target = `${files.out}.raw.${extension}`
    return {
      name: `raw → raw.${extension}`,
      goal: 1.1,
      ours: vdisk('convert', files.files, target, '--no-flush'),
      peers: [
        shell([program, ...args].join(' '), `${[program, ...args].join(' ')} < "$0" > "$1"`, files.files, target),
      ],
      target,
    }
  }
  return [
    reading('gz', 'gzip -dc and dd', 'gzip -dc "$0" | dd of="$1" bs=1M iflag=fullblock conv=sparse status=none'),
    reading('xz', 'xz -T0 -dc', 'xz -T0 -dc "$0" > "$1"'),
    reading('zst', 'zstd -dc', 'zstd -dcq "$0" > "$1"'),
    writing('gz', 'pigz', '-c'),
    writing('xz', 'xz', '-T0', '-c'),
    writing('zst', 'zstd', '-T0', '-qc'),
  ]
}

/** VMDK and VDI, both ways, against qemu-img. */
function otherFormats(): Row[] {
  const pair = (
    name: string,
    source: string,
    target: string,
    ours: readonly string[],
    theirs: readonly string[],
  ): Row => ({
    name,
    goal: 1,
    ours: vdisk('convert', source, target, '--no-flush', ...ours),
    peers: [qemu('convert', '-W', '-m', '16', ...theirs, source, target)],
    target,
  })
  const raw = `${files.out}.raw`
  const optimised = ['-o', 'subformat=streamOptimized']
  return [
    pair('raw → vmdk', files.random, `${files.out}.vmdk`, [], ['-O', 'vmdk']),
    pair('vmdk → raw', at('in.vmdk'), raw, [], ['-O', 'raw']),
    pair('raw → vdi', files.random, `${files.out}.vdi`, [], ['-O', 'vdi']),
    pair('vdi → raw', at('in.vdi'), raw, [], ['-O', 'raw']),
    pair('raw → vmdk streamOptimized', files.files, `${files.out}.vmdk`, optimised, ['-O', 'vmdk', ...optimised]),
    pair('vmdk streamOptimized → raw', at('in-stream.vmdk'), raw, [], ['-O', 'raw']),
  ]
}

function rows(): Row[] {
  const qcow2 = `${files.out}.qcow2`
  const raw = `${files.out}.raw`
  const compressing = (type: string, goal: number): Row => ({
    name: `→ qcow2 ${type}`,
    goal,
    ours: vdisk('convert', files.files, qcow2, '--compress', type, '--no-flush'),
    peers: [
      qemu('convert', '-c', '-W', '-m', '16', '-O', 'qcow2', '-o', `compression_type=${type}`, files.files, qcow2),
    ],
    target: qcow2,
  })
  const reading = (type: string): Row => ({
    name: `qcow2 ${type} → raw`,
    goal: 0.8,
    ours: vdisk('convert', at(`in-${type}.qcow2`), raw, '--no-flush'),
    peers: [qemu('convert', '-W', '-m', '16', '-O', 'raw', at(`in-${type}.qcow2`), raw)],
    target: raw,
  })
  return [
    {
      name: 'info, against bare Node',
      goal: 2,
      ours: vdisk('info', files.small),
      peers: [{ name: 'node -e 0', argv: [process.execPath, '-e', '0'] }],
      peersAreNode: true,
    },
    {
      name: 'small disk → qcow2, not flushed',
      goal: 1.5,
      ours: vdisk('convert', files.small, qcow2, '--no-flush'),
      peers: [qemu('convert', '-W', '-m', '16', '-O', 'qcow2', files.small, qcow2)],
      target: qcow2,
    },
    ...conversions(),
    compressing('zlib', 0.8),
    compressing('zstd', 0.5),
    reading('zlib'),
    reading('zstd'),
    ...otherFormats(),
    ...compressedFiles(),
    ...backupRows(values.folder, files.files, vdisk),
    ...reflinks(),
    ...devices(),
    ...serving(),
    {
      name: 'vhdx → qcow2, not flushed',
      goal: 1,
      ours: vdisk('convert', at('in.vhdx'), qcow2, '--no-flush'),
      peers: [qemu('convert', '-W', '-m', '16', '-f', 'vhdx', '-O', 'qcow2', at('in.vhdx'), qcow2)],
      target: qcow2,
    },
    {
      name: 'qcow2 → vhdx, not flushed',
      goal: 1,
      ours: vdisk('convert', at('in.qcow2'), `${files.out}.vhdx`, '--no-flush'),
      peers: [qemu('convert', '-W', '-m', '16', '-f', 'qcow2', '-O', 'vhdx', at('in.qcow2'), `${files.out}.vhdx`)],
      target: `${files.out}.vhdx`,
    },
    {
      name: 'hash tree, against sha256sum',
      goal: 0.5,
      ours: vdisk('hash', files.random, '--algorithm', 'tree'),
      peers: [peer('sha256sum', files.random)],
    },
    { name: 'hash sha256', goal: 1, ours: vdisk('hash', files.random), peers: [peer('sha256sum', files.random)] },
    {
      name: 'compare raw with qcow2',
      goal: 1,
      ours: vdisk('compare', files.random, at('in.qcow2')),
      peers: [qemu('compare', files.random, at('in.qcow2'))],
    },
  ]
}

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
}: Row): Promise<object> {
  const own = nodes.map((node) => withNode(ours, node))
  const theirs = peersAreNode ? nodes.flatMap((node) => peers.map((one) => withNode(one, node))) : peers
  const commands = [...own, ...theirs]
  const runs: Run[][] = commands.map(() => [])
  for (const [index, { argv }] of inBalancedOrder([...commands.entries()], rounds)) {
    if (target !== undefined) fs.rmSync(target, { force: true })
    const [file = '', ...args] = values['real-time'] ? ['chrt', '-r', '10', ...argv] : argv
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

makeInputs()
await makeImages()
const mounted = mountInputs()
console.log(
  `Node ${nodes.map(({ version }) => version).join(', ')}, ${os.cpus().length} × ${os.cpus()[0]?.model ?? ''}, ` +
    `${values.size} MiB of data, ${rounds} rounds\n`,
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
const results: object[] = []
try {
  for (const row of rows().filter(({ name }) => values.only === undefined || name.includes(values.only)))
    results.push(await measure(row))
} finally {
  mounted?.end()
}
fs.writeFileSync(
  path.join(root, 'bench/results.json'),
  `${JSON.stringify(
    {
      date: new Date().toISOString().slice(0, 10),
      nodes: nodes.map(({ version }) => version),
      qemu: execFileSync('qemu-img', ['--version'], { encoding: 'utf8' }).split('\n')[0],
      cpus: os.cpus().length,
      dataMiB: Number(values.size),
      rounds,
      results,
    },
    null,
    2,
  )}\n`,
)
fs.rmSync(values.folder, { recursive: true, force: true })
