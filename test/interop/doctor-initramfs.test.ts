/** Modules that doctor puts behind an initramfs: cpio and kmod find them, and e2fsck finds the filesystem sound. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import zlib from 'node:zlib'
import { convert } from '../../src/operations/transfer/convert.js'
import { doctor } from '../../src/operations/doctor/doctor.js'
import { mendGuest, type GuestMendOptions, type MendResult } from '../../src/operations/doctor/mending/mend.js'
import { vdisk } from '../support/cli.js'
import {
  cpio,
  debianFiles,
  espImage,
  guestDisk,
  kernelVersion as version,
  putInto,
  putIntoFat,
  rootUuid,
  type GuestFiles,
} from '../support/linux-guest.js'
import { have, run, scratch } from '../support/tools.js'

const espStart = 1048576
const rootStart = 10 * 1048576
const folder = `usr/lib/modules/${version}`
const initrd = `/boot/initrd.img-${version}`
const initramfsAlone = ['initramfs'] as const
const lists = ['modules.dep.bin', 'modules.alias.bin'].map((name) => `${folder}/${name}`)
const udev = 'usr/lib/systemd/systemd-udevd'
const sata = ['kernel/drivers/ata/libahci.ko', 'kernel/drivers/ata/ahci.ko', 'kernel/fs/ext4/ext4.ko']
const present = sata.map((path) => `${folder}/${path}`)
const dependencies: Readonly<Record<string, readonly string[]>> = {
  'kernel/drivers/virtio/virtio.ko.gz': [],
  'kernel/drivers/virtio/virtio_ring.ko.gz': ['kernel/drivers/virtio/virtio.ko.gz'],
  'kernel/drivers/virtio/virtio_pci.ko.gz': [
    'kernel/drivers/virtio/virtio_ring.ko.gz',
    'kernel/drivers/virtio/virtio.ko.gz',
  ],
  'kernel/drivers/block/virtio_blk.ko.gz': [
    'kernel/drivers/virtio/virtio_ring.ko.gz',
    'kernel/drivers/virtio/virtio.ko.gz',
  ],
  'kernel/drivers/net/virtio_net.ko.gz': [],
  'kernel/lib/helper-one.ko.gz': [],
  'kernel/drivers/ata/libahci.ko.gz': [],
  'kernel/drivers/ata/ahci.ko.gz': ['kernel/drivers/ata/libahci.ko.gz'],
  'kernel/fs/ext4/ext4.ko.gz': [],
}
const content = (path: string): Buffer => Buffer.from(`module ${path} `.repeat(200))

/** A system with SATA alone in its initramfs, and virtio among its modules, which are packed with gzip. */
function sataGuest(
  names: readonly string[] = [...lists, udev, ...present],
  pack = (bytes: Buffer): Buffer => bytes,
): GuestFiles {
  const files = debianFiles([])
  files[initrd] = pack(cpio(names))
  const put = (name: string, lines: readonly string[]): void => {
    files[`/${folder}/${name}`] = lines.map((line) => `${line}\n`).join('')
  }
  put(
    'modules.dep',
    Object.entries(dependencies).map(([path, needs]) => [`${path}:`, ...needs].join(' ')),
  )
  put(
    'modules.order',
    Object.keys(dependencies).map((path) => path.replace('.gz', '')),
  )
  put('modules.softdep', ['softdep virtio_blk pre: helper-one nowhere', 'softdep absent post: absent-too'])
  put('modules.alias', [
    '# Aliases extracted from modules themselves.',
    'alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci',
    'alias virtio:d00000002v* virtio_blk',
    'alias virtio:d00000001v* virtio_net',
    'alias pci:v*d*sv*sd*bc01sc06i01* ahci',
    'alias fs-ext4 ext4',
  ])
  for (const path of Object.keys(dependencies)) files[`/${folder}/${path}`] = zlib.gzipSync(content(path))
  return files
}

function tools(t: TestContext): boolean {
  return ['sgdisk', 'mke2fs', 'mkfs.vfat', 'mcopy', 'e2fsck', 'debugfs', 'cpio', 'modprobe'].every((tool) =>
    have(t, tool),
  )
}

/** The root as e2fsprogs take it: a place in the disk. */
function rootOf(disk: string): string {
  return `${disk}?offset=${rootStart}`
}

/** Holes stay holes. */
function copied(from: string, to: string): string {
  run('cp', '--sparse=always', from, to)
  return to
}

function sameFiles(one: string, other: string): boolean {
  return spawnSync('cmp', ['--silent', one, other]).status === 0
}

function writeRanges(disk: string, ranges: readonly { readonly position: number; readonly bytes: string }[]): void {
  const file = fs.openSync(disk, 'r+')
  for (const { position, bytes } of ranges) fs.writeSync(file, Buffer.from(bytes, 'hex'), 0, undefined, position)
  fs.closeSync(file)
}

/** The initramfs as e2fsprogs read it, whatever the bitmaps (`-c`). */
function initrdOf(at: (name: string) => string, root: string): Buffer {
  fs.rmSync(at('initrd'), { force: true })
  run('debugfs', '-c', '-R', `dump ${initrd} ${at('initrd')}`, root)
  return fs.readFileSync(at('initrd'))
}

const added = ['virtio', 'virtio_ring', 'virtio_pci', 'virtio_blk', 'helper-one']

test('drivers that the platform needs are put behind the initramfs, where kmod finds them', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const early = Buffer.concat([cpio(['kernel/x86/microcode/GenuineIntel.bin']), Buffer.alloc(512)])
  const packings: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
    ['plain', (bytes) => bytes],
    ['microcode and gzip', (bytes) => Buffer.concat([early, zlib.gzipSync(bytes)])],
    ['zeros at its end', (bytes) => Buffer.concat([bytes, Buffer.alloc(3)])],
    ['two archives', (bytes) => Buffer.concat([bytes, Buffer.alloc(512), bytes])],
    ['512 KiB', (bytes) => Buffer.concat([bytes, Buffer.alloc(524_288 - bytes.length)])],
  ]
  let archive: Buffer | undefined
  for (const [name, pack] of packings) {
    const files = sataGuest(undefined, pack)
    const disk = guestDisk(at, files)
    const before = copied(disk, at('before.raw'))
    const said = await doctor(disk, { for: 'proxmox' })
    const remedy = said.findings.find(({ id }) => id === 'L-INITRD-DRIVER')?.remedy
    assert.match(
      remedy?.text ?? '',
      /--for proxmox --mend-initramfs --output MENDED$/,
      `${name}: ${JSON.stringify(said)}`,
    )
    assert.equal(said.verdict, 'mendable')
    fs.rmSync(at('mended.raw'), { force: true })
    const result = await mendGuest(disk, { for: 'proxmox', output: at('mended.raw'), parts: initramfsAlone })
    assert.deepEqual(
      result.mend.mended.map(({ id }) => id),
      ['L-INITRD-DRIVER'],
    )
    assert.equal(result.verdict, 'ready', `${name}: ${JSON.stringify(result.findings)}`)
    assert.ok(sameFiles(disk, before), 'the original is as it was')
    const undone = copied(at('mended.raw'), at('undone.raw'))
    const { ranges } = result.mend
    writeRanges(
      undone,
      [...ranges].reverse().map(({ position, old: bytes }) => ({ position, bytes })),
    )
    assert.ok(sameFiles(disk, undone), `${name}: the ranges that are listed are all`)
    const root = rootOf(at('mended.raw'))
    assert.equal(spawnSync('e2fsck', ['-fn', root]).status, 0, name)
    const now = initrdOf(at, root)
    const old = files[initrd] as Buffer
    assert.ok(now.subarray(0, old.length).equals(old), name)
    const behind = now.subarray(Math.ceil(old.length / 4) * 4)
    if (archive === undefined) readBack(at, behind, name)
    archive ??= behind
    assert.ok(behind.equals(archive), `${name}: what kmod has read`)
  }
})

/** What cpio and kmod read in the archive. */
function readBack(at: (name: string) => string, archive: Buffer, name: string): void {
  const tree = at('unpacked')
  fs.rmSync(tree, { recursive: true, force: true })
  // As the initramfs has it.
  fs.mkdirSync(join(tree, folder), { recursive: true })
  const unpacked = spawnSync('cpio', ['-i', '--quiet'], { input: archive, cwd: tree, encoding: 'utf8' })
  assert.deepEqual([unpacked.status, unpacked.stderr], [0, ''], name)
  for (const path of Object.keys(dependencies)) {
    // Without gzip: the modules that the initramfs has are not packed.
    const file = join(tree, folder, path.replace('.gz', ''))
    assert.equal(
      fs.existsSync(file),
      added.some((one) => path.includes(`/${one}.ko`)),
      path,
    )
    if (fs.existsSync(file)) assert.ok(fs.readFileSync(file).equals(content(path)), path)
  }
  // What was there before is in the lists too.
  for (const path of sata) {
    fs.mkdirSync(join(tree, folder, path, '..'), { recursive: true })
    fs.writeFileSync(join(tree, folder, path), '')
  }
  // kmod looks below /lib.
  fs.symlinkSync('usr/lib', join(tree, 'lib'))
  const ask = (...flags: readonly string[]): string => run('modprobe', '-d', tree, '-S', version, ...flags)
  const loads = (module: string): string[] =>
    [...ask('--show-depends', module).matchAll(/insmod \S*\/([^/\s]+)\.ko\s/g)].map(([, one = '']) => one)
  assert.deepEqual(loads('virtio_blk'), ['virtio', 'virtio_ring', 'helper-one', 'virtio_blk'], name)
  assert.deepEqual(loads('ahci'), ['libahci', 'ahci'])
  const aliases = { 'pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00': 'virtio_pci', 'fs-ext4': 'ext4' }
  for (const [alias, module] of Object.entries({ ...aliases, 'virtio:d00000002v00001AF4': 'virtio_blk' }))
    assert.equal(ask('-R', alias).trim(), module)
  assert.doesNotMatch(fs.readFileSync(join(tree, folder, 'modules.alias'), 'utf8'), /virtio_net/)
}

test('an initramfs on the EFI system partition of systemd-boot goes on in new clusters', async (t) => {
  if (!tools(t) || !have(t, 'fsck.fat')) return
  const at = scratch(t)
  const { [initrd]: old, [`/boot/vmlinuz-${version}`]: kernel, ...files } = sataGuest()
  delete files['/boot/grub/grub.cfg']
  const entry = `linux /vmlinuz\ninitrd /initrd.img\noptions root=UUID=${rootUuid} ro\n`
  const disk = guestDisk(at, files)
  const esp = copied(espImage(at), at('esp.img'))
  const placed = {
    '/vmlinuz': kernel,
    '/initrd.img': old,
    '/loader/entries/debian.conf': entry,
    '/loader/loader.conf': '',
  }
  for (const [path, bytes] of Object.entries(placed)) {
    fs.writeFileSync(at('file'), bytes ?? '')
    putIntoFat(esp, at('file'), path)
  }
  putInto(disk, esp, espStart)
  const said = await doctor(disk, { for: 'qemu' })
  assert.deepEqual([said.verdict, ...said.findings.map(({ id }) => id)], ['mendable', 'L-INITRD-DRIVER'])
  const result = await mendGuest(disk, { for: 'qemu', inPlace: true, parts: initramfsAlone })
  assert.equal(result.verdict, 'ready', JSON.stringify(result.findings))
  fs.writeFileSync(at('after.img'), fs.readFileSync(disk).subarray(espStart, espStart + fs.statSync(esp).size))
  const checked = spawnSync('fsck.fat', ['-n', at('after.img')], { encoding: 'utf8' })
  assert.equal(checked.status, 0, checked.stdout)
  run('mcopy', '-n', '-i', at('after.img'), '::/initrd.img', at('initrd'))
  const now = fs.readFileSync(at('initrd'))
  const length = (old as Buffer).length
  assert.ok(now.subarray(0, length).equals(old as Buffer))
  readBack(at, now.subarray(Math.ceil(length / 4) * 4), 'FAT')
})

test('modules stay packed as those that the initramfs has', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const disk = guestDisk(at, sataGuest([...lists, udev, ...present.map((path) => `${path}.gz`)]))
  const result = await mendGuest(disk, { for: 'qemu', output: at('mended.raw'), parts: initramfsAlone })
  assert.equal(result.verdict, 'ready')
  const names = spawnSync('cpio', ['-t', '--quiet'], {
    input: initrdOf(at, rootOf(at('mended.raw'))).subarray((sataGuest()[initrd] as Buffer).length + 12),
    encoding: 'utf8',
  })
  assert.match(names.stdout, /virtio_blk\.ko\.gz\n/)
})

test('a stop between two writes leaves the old initramfs or the new one; e2fsck -p puts the rest right', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const files = sataGuest()
  const disk = guestDisk(at, files)
  const draft = await mendGuest(disk, { for: 'qemu', inPlace: true, dryRun: true, parts: initramfsAlone })
  const { ranges } = draft.mend
  assert.ok(
    ranges.length >= 6,
    'the superblock, the end of the last block, new blocks, a bitmap, its descriptor, the inode',
  )
  const seen = new Set<string>()
  const old = files[initrd] as Buffer
  const news = ranges.map(({ position, new: bytes }) => ({ position, bytes }))
  const whole = copied(disk, at('whole.raw'))
  writeRanges(whole, news)
  const all = initrdOf(at, rootOf(whole))
  const kindOf = (bytes: Buffer): string | undefined =>
    bytes.equals(old) ? 'old' : bytes.equals(all) ? 'new' : undefined
  for (const [index, range] of news.entries()) {
    writeRanges(disk, [range])
    const stopped = copied(disk, at('stopped.raw'))
    const root = rootOf(stopped)
    const read = kindOf(initrdOf(at, root))
    assert.ok(read !== undefined, `write ${index}`)
    // A filesystem in the middle of a change is left to e2fsck; then the change is made.
    if (index < news.length - 1) {
      const again = await mendGuest(stopped, { for: 'qemu', dryRun: true, parts: initramfsAlone })
      assert.deepEqual(again.mend.mended, [], `write ${index}`)
    }
    const repaired = spawnSync('e2fsck', ['-p', root], { encoding: 'utf8' })
    assert.ok((repaired.status ?? 8) <= 1, `write ${index}: ${repaired.stdout}`)
    assert.equal(spawnSync('e2fsck', ['-fn', root]).status, 0, `write ${index}`)
    assert.equal(kindOf(initrdOf(at, root)), read, `write ${index}`)
    seen.add(read)
    if (index === news.length - 1) continue
    const { verdict } = await mendGuest(stopped, { for: 'qemu', inPlace: true, parts: initramfsAlone })
    assert.equal(verdict, 'ready', `write ${index}`)
  }
  assert.deepEqual([...seen], ['old', 'new'])
})

interface Refused {
  readonly name: string
  readonly files?: GuestFiles
  readonly spoil?: (disk: string) => void
  readonly why: RegExp
}

const changed = (path: string, value: string | Buffer): GuestFiles => ({ ...sataGuest(), [path]: value })
const without = (path: string): GuestFiles =>
  Object.fromEntries(Object.entries(sataGuest()).filter(([name]) => name !== path))

test('what is not certain is left as it is, with the reason', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const debugfs = (command: string) => (disk: string) => {
    run('debugfs', '-w', '-R', command, rootOf(disk))
  }
  const blk = 'kernel/drivers/block/virtio_blk.ko.gz'
  const cases: readonly Refused[] = [
    { name: 'no lists', files: sataGuest([udev, ...present]), why: /has no lists of the modules of 6\.1/ },
    { name: 'no udev', files: sataGuest([...lists, ...present]), why: /it has no udev/ },
    {
      name: 'a module of somebody else',
      files: sataGuest([...lists, udev, ...present, `${folder}/extra/own.ko`]),
      why: /has the module own, which the system does not list/,
    },
    {
      name: 'no file of a module',
      files: without(`/${folder}/${blk}`),
      why: /there is no file .*virtio_blk/,
    },
    { name: 'a damaged module', files: changed(`/${folder}/${blk}`, Buffer.from('no gzip')), why: /gzip|virtio_blk/ },
    {
      name: 'no aliases',
      files: without(`/${folder}/modules.alias`),
      why: /no modules\.dep or no modules\.alias/,
    },
    {
      name: 'paths that lead elsewhere',
      files: changed(
        `/${folder}/modules.dep`,
        Object.keys(dependencies)
          .map((path) => `../../${path}:\n`)
          .join(''),
      ),
      why: /is listed outside/,
    },
    { name: 'not left in order', spoil: debugfs('set_super_value state 0'), why: /was not left in order/ },
    { name: 'quotas', spoil: debugfs('feature quota'), why: /feature quota/ },
    {
      name: 'another kind of filesystem',
      spoil: debugfs('set_super_value feature_ro_compat 0x4046b'),
      why: /features/,
    },
    { name: 'other counts', spoil: debugfs('set_block_group 3 free_blocks_count 7'), why: /checksum|counts/ },
  ]
  for (const { name, files = sataGuest(), spoil, why } of cases) {
    const disk = guestDisk(at, files)
    spoil?.(disk)
    const before = copied(disk, at('before.raw'))
    const result = await mendGuest(disk, { for: 'qemu', inPlace: true, parts: initramfsAlone })
    assert.deepEqual(result.mend.mended, [], name)
    const all = [...result.findings.map(({ remedy }) => remedy.text), ...result.notLooked.map((one) => one.why)].join(
      '\n',
    )
    assert.match(all, why, `${name}: ${all}`)
    assert.ok(sameFiles(disk, before), name)
  }
})

test('the command adds modules, alone or with the rest, and asks for the platform', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const cwd = at('.')
  const files = sataGuest()
  files['/etc/fstab'] = '/dev/sda2 / ext4 defaults 0 1\n'
  guestDisk(at, files)
  const none = await vdisk(['doctor', 'disk.raw', '--mend-initramfs', '--dry-run'], { cwd })
  assert.equal(none.code, 2)
  assert.match(none.stderr, /--for[\s\S]*vdisk platforms/)
  const nowhere = await vdisk(['doctor', 'disk.raw', '--for', 'qemu', '--mend-initramfs'], { cwd })
  assert.match(nowhere.stderr, /--output FILE[\s\S]*--in-place[\s\S]*--dry-run/)
  const both = await vdisk(['doctor', 'disk.raw', '--for', 'qemu'], { cwd })
  assert.match(both.stdout.toString(), /mendable[\s\S]*--for qemu --mend --mend-initramfs --output MENDED/)
  const dry = await vdisk(['doctor', 'disk.raw', '--for', 'qemu', '--mend-initramfs', '--dry-run'], { cwd })
  assert.match(
    dry.stdout.toString(),
    /Would mend[\s\S]*becomes an initramfs with virtio_pci[\s\S]*bytes from byte \d+ of/,
  )
  const alone = await mended({ parts: initramfsAlone })
  assert.deepEqual(alone, ['L-INITRD-DRIVER'])
  assert.deepEqual(await mended({ parts: ['configuration'] }), ['L-FSTAB-DEVICE'])
  await convert(at('disk.raw'), at('disk.qcow2'), { to: 'qcow2' })
  const flags = ['--for', 'qemu', '--mend', '--mend-initramfs', '--in-place', '--json']
  const json = await vdisk(['doctor', 'disk.qcow2', ...flags], { cwd })
  assert.equal(json.code, 0, json.stderr)
  const result = JSON.parse(json.stdout.toString()) as MendResult
  assert.deepEqual(
    result.mend.mended.map(({ id }) => id),
    ['L-INITRD-DRIVER', 'L-FSTAB-DEVICE'],
  )
  await convert(at('disk.qcow2'), at('read.raw'), { to: 'raw' })
  assert.equal(spawnSync('e2fsck', ['-fn', rootOf(at('read.raw'))]).status, 0)
  async function mended(options: GuestMendOptions): Promise<string[]> {
    const { mend } = await mendGuest(at('disk.raw'), { for: 'qemu', dryRun: true, ...options })
    return mend.mended.map(({ id }) => id)
  }
})
