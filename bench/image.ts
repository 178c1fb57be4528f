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
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: path.join(root, '.work', 'bench') },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(`npm run bench:image -- [--size GiB] [--runs N] [--folder DIR]     (as root)
Images one loop device with vdisk, dd and qemu-img in turn, past the page cache for reading, and prints the medians:
seconds until the image is on the medium, and what that is in MiB of the disk a second.`)
  process.exit(0)
}

interface Contender {
  readonly name: string
  readonly target: string
  readonly command: string
  readonly args: readonly string[]
}

const ours = path.join(root, 'bin', 'run.js')
const size = Number(values.size) * 1024 ** 3
const { full } = buildInputs(values.folder, size)
// The disk's medium is allocated, so that every byte is really read.
const loop = execFileSync('losetup', ['--find', '--show', '--direct-io=on', '--read-only', full.file]).toString().trim()
try {
  const target = (name: string): string => path.join(values.folder, `image.${name}`)
  const image = (name: string, ...args: string[]): Contender => ({
    name: `vdisk image → ${name}`,
    target: target(`v.${name.split(' ')[0] ?? name}`),
    command: process.execPath,
    args: [ours, 'image', loop, target(`v.${name.split(' ')[0] ?? name}`), '--allow-same-disk', '--force', ...args],
  })
  const qemu = (name: string, format: string, ...args: string[]): Contender => ({
    name: `qemu-img convert → ${name}`,
    target: target(`q.${name}`),
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', '-T', 'none', '-O', format, ...args, loop, target(`q.${name}`)],
  })
  const contenders: readonly Contender[] = [
    {
      name: 'dd bs=4M iflag=direct oflag=direct → raw',
      target: target('dd'),
      command: 'dd',
      args: [`if=${loop}`, `of=${target('dd')}`, 'bs=4M', 'iflag=direct', 'oflag=direct', 'conv=fsync'],
    },
    image('raw'),
    qemu('raw', 'raw'),
    image('vhdx'),
    qemu('vhdx', 'vhdx'),
    image('qcow2'),
    qemu('qcow2', 'qcow2'),
    image('vhdx --verify', '--verify'),
    image('raw --used-only', '--used-only'),
  ]
  const results = new Map<Contender, Run[]>(contenders.map((contender) => [contender, []]))
  for (const contender of inBalancedOrder(contenders, Number(values.runs))) {
    fs.rmSync(contender.target, { force: true })
    execFileSync('sync')
    results.get(contender)?.push(await run(contender.command, contender.args, contender.target))
    fs.rmSync(contender.target, { force: true })
  }
  console.log(`An allocated disk of ${values.size} GiB (a loop device), medians of ${values.runs} runs in turn.\n`)
  console.log('| what | seconds | MiB a second | peak MiB |\n| --- | --- | --- | --- |')
  for (const [{ name }, runs] of results) {
    const seconds = median(runs.map(({ flushed }) => flushed))
    console.log(
      `| ${name} | ${seconds.toFixed(2)} | ${(size / 1024 ** 2 / seconds).toFixed(0)} | ` +
        `${(Math.max(...runs.map(({ peak }) => peak)) / 1024 ** 2).toFixed(0)} |`,
    )
  }
} finally {
  execFileSync('losetup', ['--detach', loop])
  for (const name of fs.readdirSync(values.folder))
    if (name.startsWith('image.')) fs.rmSync(path.join(values.folder, name))
}
