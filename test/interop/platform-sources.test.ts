/** Presets for platforms from odd sources: other programs find the image right, or nothing is written. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { vdisk } from '../support/cli.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run, scratch } from '../support/tools.js'

const mebibyte = 1048576
const oddSize = 24 * mebibyte + 512
/** Where partition 2 has content. */
const place = 20 * mebibyte
const content = Buffer.alloc(70_000, 'content of the guest ')

function write(path: string, position: number, bytes: Uint8Array): void {
  const file = fs.openSync(path, 'r+')
  fs.writeSync(file, bytes, 0, bytes.length, position)
  fs.closeSync(file)
}

/** A GPT of two partitions, of which the last reaches to the end of the disk; then what is done to it. */
function gptDisk(path: string, spoil: (path: string) => void): void {
  fs.writeFileSync(path, '')
  fs.truncateSync(path, oddSize)
  run('sgdisk', '-n', '1:2048:+4M', '-n', '2:0:0', path)
  write(path, place, content)
  spoil(path)
}

const letter = Buffer.from('x')
const odd: Readonly<Record<string, (path: string) => void>> = {
  'its primary header is damaged': (path) => write(path, 512 + 60, letter),
  'its primary entries are damaged': (path) => write(path, 1024 + 60, letter),
  'its first sectors are zeros': (path) => write(path, 0, Buffer.alloc(34 * 512)),
  'its backup header is damaged': (path) => write(path, oddSize - 512 + 60, letter),
  'its backup is gone': (path) => write(path, oddSize - 33 * 512, Buffer.alloc(33 * 512)),
  'its disk was grown': (path) => fs.truncateSync(path, oddSize + 3 * mebibyte + 1024),
}

/** One platform of each way in which sizes, packing and formats differ. */
const chosen: readonly (readonly [platform: string, name: string, format: string, unit: number])[] = [
  ['azure-gen2', 'out.vhd', 'vpc', mebibyte],
  ['gce', 'out.tar.gz', 'raw', 1024 * mebibyte],
  ['proxmox', 'out.qcow2', 'qcow2', 512],
  ['virtualbox', 'out.vdi', 'vdi', 512],
]

function partitions(path: string): string[] {
  return [...run('sgdisk', '-p', path).matchAll(/^ +\d+ +\d+ +\d+ /gm)].map(([line]) => line.trim())
}

test('a GPT that is not whole, or not at its end, is right in an image for a platform', async (t) => {
  for (const tool of ['sgdisk', 'qemu-img', 'tar']) if (!have(t, tool)) return
  const at = scratch(t)
  const sound = at('sound.raw')
  gptDisk(sound, () => undefined)
  const wanted = partitions(sound)
  assert.equal(wanted.length, 2)
  for (const [name, spoil] of Object.entries(odd))
    for (const [platform, file, format, unit] of chosen) {
      const said = `${name}, ${platform}`
      const [source, target] = [at('source.raw'), at(file)]
      gptDisk(source, spoil)
      await convert(source, target, { for: platform, force: true })
      let image = target
      if (platform === 'gce') {
        run('tar', '-C', at('.'), '-xzf', target)
        image = at('disk.raw')
      }
      const info = JSON.parse(run('qemu-img', 'info', '-f', format, '--output=json', image)) as Record<string, unknown>
      assert.equal(info['virtual-size'], Math.ceil(fs.statSync(source).size / unit) * unit, said)
      const raw = at('back.raw')
      run('qemu-img', 'convert', '-f', format, '-O', 'raw', image, raw)
      assert.match(run('sgdisk', '-v', raw), /No problems found/, said)
      assert.deepEqual(partitions(raw), wanted, said)
      const read = Buffer.alloc(content.length)
      const open = fs.openSync(raw, 'r')
      fs.readSync(open, read, 0, read.length, place)
      fs.closeSync(open)
      assert.ok(read.equals(content), said)
    }
})

test('doctor of a disk whose primary GPT is damaged finds no broken rule where the size is rounded', async (t) => {
  if (!have(t, 'sgdisk')) return
  const at = scratch(t)
  gptDisk(at('source.raw'), (path) => write(path, 512 + 60, letter))
  const { findings } = await doctor(at('source.raw'), { for: 'gce' })
  assert.deepEqual(
    findings.filter(({ id }) => id === 'D-RULE'),
    [],
  )
})

test('a larger target gets a whole GPT from a disk of which the backup alone is whole', async (t) => {
  if (!have(t, 'sgdisk')) return
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  const at = scratch(t)
  gptDisk(at('source.raw'), (path) => write(path, 0, Buffer.alloc(34 * 512)))
  fs.writeFileSync(at('target.raw'), '')
  fs.truncateSync(at('target.raw'), 40 * mebibyte)
  const device = loopDevice(t, at('target.raw'))
  const args = ['restore', 'source.raw', device, '--yes', '--confirm', String(40 * mebibyte), '--allow-no-table']
  const { code, stderr } = await vdisk(args, { cwd: at('.') })
  assert.equal(code, 0, stderr)
  assert.match(run('sgdisk', '-v', at('target.raw')), /No problems found/)
  assert.equal(partitions(at('target.raw')).length, 2)
})

/** A disk with sectors of 4096 bytes, and a table in them. */
async function largeSectors(t: TestContext, scheme: 'gpt' | 'mbr'): Promise<(name: string) => string> {
  const at = scratch(t)
  gptDisk(at('small.raw'), (path) => fs.truncateSync(path, 25 * mebibyte))
  const steps = [
    ['partition', 'convert', 'small.raw', 'large.vhdx', '--sector-size', '4096'],
    ['partition', 'convert', 'large.vhdx', "it's.vhdx", '--table', scheme],
  ]
  for (const args of scheme === 'gpt' ? steps.slice(0, 1) : steps) {
    const { code, stderr } = await vdisk(args, { cwd: at('.') })
    assert.equal(code, 0, stderr)
  }
  if (scheme === 'gpt') fs.renameSync(at('large.vhdx'), at("it's.vhdx"))
  return at
}

test('a table in sectors of 4096 bytes is refused where the disk has others, whatever the format', async (t) => {
  for (const tool of ['sgdisk', 'qemu-img']) if (!have(t, tool)) return
  for (const scheme of ['gpt', 'mbr'] as const) {
    const at = await largeSectors(t, scheme)
    for (const [platform, file] of chosen) {
      const error: unknown = await convert(at("it's.vhdx"), at(file), { for: platform }).catch((each: unknown) => each)
      assert.ok(isImageError(error) && error.code === 'E_PLATFORM_RULE', `${scheme}, ${platform}: ${String(error)}`)
      assert.match(error.message, new RegExp(`the ${scheme.toUpperCase()} counts in sectors of 4096 bytes`))
      assert.match(error.hint ?? '', /vdisk partition convert '.*it'\\''s\.vhdx' OTHER --sector-size 512/)
      assert.equal(fs.existsSync(at(file)), false)
    }
    for (const platform of ['qemu', 'libvirt']) {
      const { platform: made } = await convert(at("it's.vhdx"), at('out.qcow2'), { for: platform, force: true })
      assert.match(made?.next.join('\n') ?? '', /logical_block_size='?4096/)
    }
    const { code } = await vdisk(['partition', 'convert', "it's.vhdx", 'p.raw', '--sector-size', '512'], {
      cwd: at('.'),
    })
    assert.equal(code, 0)
    await convert(at('p.raw'), at('out.vhd'), { for: 'azure-gen1' })
  }
})

test('a disk that is too large for a platform has the rule for an answer, and not another format', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('large.raw'), '')
  fs.truncateSync(at('large.raw'), 2049 * 1024 * mebibyte)
  const error: unknown = await convert(at('large.raw'), at('out.vhd'), { for: 'xcp-ng' }).catch((each: unknown) => each)
  assert.ok(isImageError(error) && error.code === 'E_PLATFORM_RULE', String(error))
  assert.doesNotMatch(error.hint ?? '', /VHDX/)
  assert.equal(fs.existsSync(at('out.vhd')), false)
})
