/** Images for platforms, judged by other programs. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { create } from '../../src/operations/transfer/create.js'
import { convert, type ConvertResult } from '../../src/operations/transfer/convert.js'
import { measure } from '../../src/operations/transfer/measure.js'
import { platforms, type Platform } from '../../src/platforms/index.js'
import { vdisk } from '../support/cli.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { assertSchema } from '../support/schemas.js'
import { have, run, runIn, scratch } from '../support/tools.js'

const MiB = 1048576
/** An odd count of sectors, which hardly any platform takes. */
const sourceSize = 24 * MiB + 512

/** A GPT disk with content in its last partition, which reaches to the second GPT. */
function sourceDisk(at: (name: string) => string): { readonly path: string; readonly content: Buffer } {
  const path = at('source.raw')
  fs.writeFileSync(path, '')
  fs.truncateSync(path, sourceSize)
  run('sgdisk', '-n', '1:2048:+4M', '-n', '2:0:0', path)
  const content = Buffer.alloc(70000, 'content of the guest ')
  const file = fs.openSync(path, 'r+')
  fs.writeSync(file, content, 0, content.length, 5 * MiB + 512)
  fs.writeSync(file, content, 0, content.length, 20 * MiB + 1024)
  fs.closeSync(file)
  return { path, content }
}

/** What qemu-img calls the formats. */
const qemuNames: Readonly<Record<string, string>> = { vhd: 'vpc' }

function nameFor({ formats, packing }: Platform, id: string): string {
  return `${id}${packing?.extensions[0] ?? `.${formats[0]?.format ?? ''}`}`
}

/** The image as the platform finds it: unpacked by GNU tar. */
function unpacked(platform: Platform, file: string, at: (name: string) => string): string {
  const { packing } = platform
  if (packing === undefined) return file
  const folder = at(`${platform.id}-unpacked`)
  fs.mkdirSync(folder)
  const listing = run('tar', '--numeric-owner', '-tvzf', file).trim().split('\n')
  run('tar', '-C', folder, '-xzf', file)
  switch (packing.kind) {
    case 'gce':
      assert.equal(listing.length, 1)
      assert.match(listing[0] ?? '', /^-rw-r--r-- 0\/0 +1073741824 .* disk\.raw$/)
      // GCE takes GNU and OLDGNU alone: the magic of both.
      assert.equal(
        run('sh', '-c', `gzip -dc ${file} | head -c 265 | tail -c 8 | od -An -c`).trim(),
        'u   s   t   a   r          \\0',
      )
      return `${folder}/disk.raw`
    case 'containerDisk':
      assert.match(listing[0] ?? '', /^dr-xr-xr-x 107\/107 .* disk\/$/)
      assert.match(listing[1] ?? '', /^-r--r----- 107\/107 .* disk\/disk\.qcow2$/)
      assert.equal(listing.length, 2)
      return `${folder}/disk/disk.qcow2`
    case 'vagrant':
      assert.deepEqual(JSON.parse(fs.readFileSync(`${folder}/metadata.json`, 'utf8')), {
        provider: 'libvirt',
        format: 'qcow2',
        virtual_size: 1,
      })
      assert.equal(fs.existsSync(`${folder}/Vagrantfile`), true)
      return `${folder}/box.img`
  }
}

function piece(path: string, offset: number, length: number): Buffer {
  const file = fs.openSync(path, 'r')
  const bytes = Buffer.alloc(length)
  fs.readSync(file, bytes, 0, length, offset)
  fs.closeSync(file)
  return bytes
}

/** Rules that are computed from the file alone. */
function checkRules(id: string, size: number, file: string, info: Record<string, unknown>): void {
  const length = fs.statSync(file).size
  if (id.startsWith('azure')) {
    assert.equal(size % MiB, 0)
    assert.equal(length, size + 512)
    // The footer's disk type: 2 is fixed.
    assert.equal(piece(file, size, 8).toString('latin1'), 'conectix')
    assert.equal(piece(file, size + 60, 4).readUInt32BE(), 2)
  }
  if (id === 'xcp-ng') assert.equal(piece(file, length - 512 + 60, 4).readUInt32BE(), 3)
  if (id === 'esxi' || id.startsWith('aws')) {
    const specific = (info['format-specific'] as { data: Record<string, unknown> } | undefined)?.data
    assert.equal(specific?.['create-type'], 'streamOptimized')
    assert.equal(piece(file, 4, 4).readUInt32LE(), 3)
  }
  assert.equal(size % 512, 0)
  assert.equal(info['backing-filename'], undefined)
}

async function checkPlatform(t: TestContext, platform: Platform): Promise<ConvertResult> {
  const at = scratch(t)
  const { path, content } = sourceDisk(at)
  const { id, multiple } = platform
  const result = await convert(path, at(nameFor(platform, id)), { for: id, verify: true })
  const image = unpacked(platform, at(nameFor(platform, id)), at)
  const format = result.target.format
  const info = JSON.parse(run('qemu-img', 'info', '-f', qemuNames[format] ?? format, '--output=json', image)) as Record<
    string,
    unknown
  >
  const size = info['virtual-size'] as number
  const wanted = Math.ceil(sourceSize / (multiple?.bytes ?? 512)) * (multiple?.bytes ?? 512)
  assert.equal(size, wanted)
  checkRules(id, size, image, info)
  const raw = at('back.raw')
  run('qemu-img', 'convert', '-f', qemuNames[format] ?? format, '-O', 'raw', image, raw)
  assert.match(run('sgdisk', '-v', raw), /No problems found/)
  for (const offset of [5 * MiB + 512, 20 * MiB + 1024]) assert.deepEqual(piece(raw, offset, content.length), content)
  return result
}

test('every platform: an odd disk becomes an image that others find right, with its GPT at the new end', async (t) => {
  for (const tool of ['sgdisk', 'qemu-img', 'tar']) if (!have(t, tool)) return
  for (const platform of platforms)
    await t.test(platform.id, async (one) => {
      const result = await checkPlatform(one, platform)
      assert.equal(result.platform?.id, platform.id)
      assert.ok(result.platform.next.length > 0)
      // Nothing is left to fill in but what is written in capitals.
      for (const step of result.platform.next) assert.doesNotMatch(step, /\{[a-z]\w*\}/)
      assert.equal(result.platform.table.length > 0, result.target.capacity !== sourceSize)
    })
})

test('libvirt: the domain that is printed is XML that names the file', async (t) => {
  for (const tool of ['xmllint', 'sgdisk']) if (!have(t, tool)) return
  const at = scratch(t)
  const { path } = sourceDisk(at)
  const target = at("it's <a> disk & more.qcow2")
  const { platform } = await convert(path, target, { for: 'libvirt' })
  const domain = platform?.next.find((step) => step.startsWith('<domain')) ?? ''
  fs.writeFileSync(at('domain.xml'), domain)
  assert.equal(run('xmllint', '--xpath', 'string(/domain/devices/disk/source/@file)', at('domain.xml')).trim(), target)
})

test('esxi: an OVA of a rounded disk, whose description is XML that names the disk', async (t) => {
  for (const tool of ['xmllint', 'sgdisk', 'tar', 'qemu-img']) if (!have(t, tool)) return
  const at = scratch(t)
  const { path } = sourceDisk(at)
  const { platform } = await convert(path, at('server.ova'), { for: 'esxi', verify: true })
  assert.match(platform?.next[0] ?? '', /^govc import\.ova .*server\.ova$/)
  const names = run('tar', '-tf', at('server.ova')).trim().split('\n')
  assert.match(names[0] ?? '', /\.ovf$/)
  run('tar', '-C', at('.'), '-xf', at('server.ova'))
  const [ovf = '', , vmdk = ''] = names
  const file = "string(//*[local-name()='File']/@*[local-name()='href'])"
  assert.equal(run('xmllint', '--xpath', file, at(ovf)).trim(), vmdk)
  const info = JSON.parse(run('qemu-img', 'info', '--output=json', at(vmdk))) as Record<string, unknown>
  assert.equal(info['virtual-size'], sourceSize)
  const refused = await vdisk(['convert', path, 'out.ova', '--for', 'gce'], { cwd: at('.') })
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /promises an OVA, which gce does not take\n.*\n.*Name it with \.tar\.gz/)
})

test('gce: an archive for standard output, of a disk with many pieces, is what GNU tar reads', async (t) => {
  if (!have(t, 'tar')) return
  const at = scratch(t)
  const path = at('pieces.raw')
  const file = fs.openSync(path, 'w')
  fs.ftruncateSync(file, 9 * 1024 * MiB)
  // More than the four runs of a header, and the twenty-one of its first extension; past 8 GiB, where octal ends.
  const pieces = Array.from({ length: 50 }, (_, index) => ({
    text: `piece ${index}`,
    offset: index * 180 * MiB + 8192,
  }))
  for (const { text, offset } of pieces) fs.writeSync(file, text, offset)
  fs.closeSync(file)
  const { code, stdout } = await vdisk(['convert', path, '-', '--for', 'gce', '--from', 'raw'], { cwd: at('.') })
  assert.equal(code, 0)
  fs.writeFileSync(at('disk.tar.gz'), stdout)
  fs.mkdirSync(at('out'))
  runIn(at('out'), 'tar', '-xzf', at('disk.tar.gz'))
  const { size, blocks } = fs.statSync(at('out/disk.raw'))
  assert.equal(size, 9 * 1024 * MiB)
  // All else are holes: 50 pages.
  assert.ok(blocks * 512 < MiB)
  for (const { text, offset } of pieces)
    assert.equal(piece(at('out/disk.raw'), offset, text.length).toString('latin1'), text)
})

test('the documents of platforms and of convert have their schemas', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('disk.raw'), Buffer.alloc(21 * MiB))
  const listed = await vdisk(['platforms', '--json'], { cwd: at('.') })
  assertSchema('platforms', JSON.parse(listed.stdout.toString()))
  const args = ['convert', 'disk.raw', 'disk.vhd', '--for', 'azure-gen1', '--json']
  const converted = await vdisk(args, { cwd: at('.') })
  assertSchema('convert', JSON.parse(converted.stdout.toString()))
  const made = await vdisk(['create', 'new.vhd', '21M', '--for', 'azure-gen1', '--json'], { cwd: at('.') })
  assertSchema('create', JSON.parse(made.stdout.toString()))
})

test('create and measure take a platform: the size is rounded, and measure says what convert writes', async (t) => {
  for (const tool of ['sgdisk', 'qemu-img']) if (!have(t, tool)) return
  const at = scratch(t)
  const made = await create(at('empty.vhd'), { for: 'azure-gen1', size: 20 * MiB + 512 }).catch(
    (error: unknown) => error,
  )
  assert.match(String(made), /--size 20972032: azure-gen1/)
  const { target } = await create(at('empty.vhd'), { for: 'azure-gen1', size: 21 * MiB })
  assert.equal(fs.statSync(at('empty.vhd')).size, target.capacity + 512)
  const { path } = sourceDisk(at)
  const measured = await measure(path, { for: 'azure-gen2' })
  assert.equal(measured.target.format, 'vhd')
  const converted = await convert(path, at('disk.vhd'), { for: 'azure-gen2' })
  assert.equal(measured.required, converted.target.size)
})

test('image of a disk for a platform: rounded, with its GPT at the new end, and verified', async (t) => {
  for (const tool of ['sgdisk', 'qemu-img']) if (!have(t, tool)) return
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  const at = scratch(t)
  const { path } = sourceDisk(at)
  const device = loopDevice(t, path)
  const args = ['image', device, 'disk.vhd', '--for', 'azure-gen2', '--verify', '--allow-same-disk', '--json']
  const { code, stdout, stderr } = await vdisk(args, { cwd: at('.') })
  assert.equal(code, 0, stderr)
  const document = JSON.parse(stdout.toString()) as { platform: { table: string[] }; verified: boolean }
  assertSchema('image', document)
  assert.equal(document.verified, true)
  assert.equal(document.platform.table.length, 2)
  assert.equal(fs.statSync(at('disk.vhd')).size, 25 * MiB + 512)
  run('qemu-img', 'convert', '-f', 'vpc', '-O', 'raw', at('disk.vhd'), at('back.raw'))
  assert.match(run('sgdisk', '-v', at('back.raw')), /No problems found/)
})

/** What contradicts a platform: arguments of convert, the exit code, and what is said. */
const contradictions: readonly (readonly [readonly string[], number, RegExp])[] = [
  [['out.vhd', '--for', 'azure'], 2, /no platform is called azure\n[^]*Did you mean azure-gen1 or azure-gen2/],
  [['out.vhdx', '--for', 'azure-gen2'], 2, /out\.vhdx promises .* azure-gen2 takes vhd\n[^]*Name it with \.vhd/],
  [['out.vhd', '--for', 'azure-gen2', '--to', 'vhdx'], 2, /--to vhdx contradicts --for azure-gen2: it takes vhd/],
  [['out.vhd', '--for', 'azure-gen2', '--subformat', 'dynamic'], 2, /subformat=dynamic contradicts --for azure-gen2/],
  [['out.vhd', '--for', 'azure-gen2', '--size', '30000000'], 2, /--size 30000000.*\n[^]*Use --size 30408704/],
  [['out.vhd', '--for', 'azure-gen2', '--parent', 'other.vhd'], 2, /--parent contradicts --for azure-gen2/],
  [['out.raw', '--for', 'gce'], 2, /gce takes a tar\.gz archive.*\n[^]*Name it with \.tar\.gz or \.tgz/],
  [['out.qcow2', '--for', 'ovirt', '-o', 'compat=0.10'], 2, /compat=0\.10 contradicts --for ovirt/],
  [['out.qcow2', '--for', 'utm', '--compress', 'zstd:3'], 2, /compress=zstd:3 contradicts --for utm/],
  [
    ['out.vmdk', '--for', 'esxi', '--subformat', 'monolithicFlat'],
    2,
    /subformat=monolithicFlat contradicts --for esxi/,
  ],
  [['out.vmdk', '--for', 'vmware', '--subformat', 'streamOptimized'], 0, /Warning: subformat=streamOptimized is used/],
  [['out.vhd.gz', '--for', 'azure-gen1'], 0, /Warning: azure-gen1 may not take an image inside a compressed file/],
]

test('an option that contradicts the platform is refused, or warned of by its name', async (t) => {
  if (!have(t, 'sgdisk')) return
  const at = scratch(t)
  const { path } = sourceDisk(at)
  for (const [args, exit, message] of contradictions) {
    const { code, stderr } = await vdisk(['convert', path, ...args], { cwd: at('.') })
    assert.equal(code, exit, `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, message)
    assert.equal(fs.existsSync(at(args[0] ?? '')), exit === 0)
  }
})

test('a disk that breaks a documented rule is refused with the remedy; others are warned of', async (t) => {
  const at = scratch(t)
  fs.writeFileSync(at('small.raw'), Buffer.alloc(MiB))
  const small = await vdisk(['convert', 'small.raw', 'out.vhd', '--for', 'azure-gen1'], { cwd: at('.') })
  assert.equal(small.code, 3)
  assert.match(
    small.stderr,
    /1048576 bytes, and a disk of azure-gen1 has at least 20971520\n.*\n.*Give it 20971520 bytes/,
  )
  assert.equal(
    (await vdisk(['convert', 'small.raw', 'out.vhd', '--for', 'azure-gen1', '--size', '20971520'], { cwd: at('.') }))
      .code,
    0,
  )
  // 500 GiB, all of it a hole: more than the 400 that OCI takes.
  fs.truncateSync(at('small.raw'), 500 * 2 ** 30)
  const large = await vdisk(['convert', 'small.raw', 'out.qcow2', '--for', 'oci'], { cwd: at('.') })
  assert.equal(large.code, 3)
  assert.match(large.stderr, /the one disk of an image of oci has at most 429496729600/)
  fs.truncateSync(at('small.raw'), 1025 * 2 ** 30)
  const warned = await vdisk(['convert', 'small.raw', 'out.vhdx', '--for', 'wsl2', '--dry-run'], { cwd: at('.') })
  assert.equal(warned.code, 0)
  assert.match(warned.stderr, /not confirmed/)
})

test('a GPT of 4096-byte sectors is refused for an image of 512', async (t) => {
  for (const tool of ['sgdisk', 'losetup']) if (!have(t, tool)) return
  const at = scratch(t)
  const { path } = sourceDisk(at)
  const four = await vdisk(['partition', 'convert', path, 'four.vhdx', '--sector-size', '4096'], { cwd: at('.') })
  if (four.code !== 0) {
    // The last partition ends inside a sector of 4096: the table is made for a smaller disk.
    fs.rmSync(path)
    fs.writeFileSync(path, '')
    fs.truncateSync(path, 24 * MiB)
    run('sgdisk', '-n', '1:2048:+4M', path)
    const again = await vdisk(['partition', 'convert', path, 'four.vhdx', '--sector-size', '4096'], { cwd: at('.') })
    assert.equal(again.code, 0, again.stderr)
  }
  const { code, stderr } = await vdisk(['convert', 'four.vhdx', 'out.vhd', '--for', 'azure-gen2'], { cwd: at('.') })
  assert.equal(code, 3)
  assert.match(stderr, /GPT counts in sectors of 4096[\s\S]*partition convert four\.vhdx OTHER --sector-size 512/)
})
