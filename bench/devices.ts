import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildInputs } from './inputs.js'
import { inBalancedOrder, median, run, type Run } from './measure.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench') },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(`node dist/bench/devices.js [--size GiB] [--runs N] [--folder DIR]   (root; loop devices)
Restores and clones onto a loop device with vdisk, dd and qemu-img, in turn, each past the page
cache and flushed, and prints medians.`)
  process.exit(0)
}

const ours = path.join(root, 'bin', 'run.js')
const size = Number(values.size) * 1024 ** 3
const { half, full } = buildInputs(values.folder, size)
const at = (name: string): string => path.join(values.folder, name)
const loops: string[] = []

function loop(file: string): string {
  const device = execFileSync('losetup', ['--find', '--show', '--direct-io=on', file]).toString().trim()
  loops.push(device)
  return device
}

type Command = readonly [name: string, program: string, args: readonly string[]]

try {
  fs.closeSync(fs.openSync(at('device'), 'w'))
  execFileSync('cp', ['--sparse=never', full.file, at('device')])
  const target = loop(at('device'))
  const source = loop(full.file)
  const vhdx = at(`device-${path.basename(half.file, '.raw')}.vhdx`)
  if (!fs.existsSync(vhdx)) execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'vhdx', half.file, vhdx])
  const word = ['--yes', '--confirm', String(size), '--allow-no-table', '--progress', 'none']
  const restore = (name: string, from: string, ...flags: string[]): Command => [
    name,
    process.execPath,
    [ours, 'restore', from, target, ...word, ...flags],
  ]
  const qemu = (name: string, format: string, from: string): Command => [
    name,
    'qemu-img',
    ['convert', '-n', '-t', 'none', '-m', '16', '-W', '-f', format, '-O', 'raw', from, target],
  ]
  const dd = (name: string, from: string, ...flags: string[]): Command => [
    name,
    'dd',
    [`if=${from}`, `of=${target}`, 'bs=4M', 'oflag=direct', 'conv=fsync', 'status=none', ...flags],
  ]
  const groups: readonly (readonly [string, readonly Command[]])[] = [
    [
      `restore, ${full.name}, raw`,
      [
        restore('vdisk --no-verify', full.file, '--no-verify'),
        restore('vdisk', full.file),
        qemu('qemu-img convert -n', 'raw', full.file),
        dd('dd', full.file),
      ],
    ],
    [
      `restore, ${half.name}, VHDX`,
      [
        restore('vdisk --no-verify', vhdx, '--no-verify'),
        restore('vdisk', vhdx),
        qemu('qemu-img convert -n', 'vhdx', vhdx),
      ],
    ],
    [
      `clone, ${full.name}`,
      [
        ['vdisk --no-verify', process.execPath, [ours, 'clone', source, target, ...word, '--no-verify']],
        ['vdisk', process.execPath, [ours, 'clone', source, target, ...word]],
        [
          'qemu-img convert -n',
          'qemu-img',
          ['convert', '-n', '-t', 'none', '-T', 'none', '-m', '16', '-W', '-f', 'raw', '-O', 'raw', source, target],
        ],
        dd('dd', source, 'iflag=direct'),
      ],
    ],
  ]
  console.log(
    `Medians of ${values.runs} interleaved runs, ` +
      (`${execFileSync('qemu-img', ['--version']).toString().split('\n')[0] ?? ''}, Node ${process.version}; ` +
        'targets written past the page cache and flushed.\n'),
  )
  for (const [title, commands] of groups) {
    const results: Run[][] = commands.map(() => [])
    // Who writes after somebody who filled the medium's own cache waits for it.
    for (const [index, [, program, args]] of inBalancedOrder([...commands.entries()], Number(values.runs))) {
      execFileSync('sync')
      results[index]?.push(await run(program, args, target))
    }
    console.log(`\n${title}\n\n| | s | MiB/s | peak MiB |\n| --- | --- | --- | --- |`)
    for (const [index, [name]] of commands.entries()) {
      const seconds = median((results[index] ?? []).map(({ flushed }) => flushed))
      console.log(
        `| ${name} | ${seconds.toFixed(2)} | ${(size / seconds / 2 ** 20).toFixed(0)} | ` +
          `${(Math.max(...(results[index] ?? []).map(({ peak }) => peak)) / 2 ** 20).toFixed(0)} |`,
      )
    }
  }
} finally {
  for (const device of loops) execFileSync('losetup', ['--detach', device])
  fs.rmSync(at('device'), { force: true })
}
