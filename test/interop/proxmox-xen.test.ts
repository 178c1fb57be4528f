import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { check } from '../../src/operations/check/check.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { vdisk, type CliResult } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { mountingMissing, mountPlace } from '../support/mounted.js'
import { have, run } from '../support/tools.js'
import { vmaBytes } from '../support/vma-bytes.js'
import { xvaBytes } from '../support/xva-bytes.js'

/** Backups of a machine with two disks: the first one has partitions, filesystems and files. */
async function backups(t: TestContext): Promise<Record<'folder' | 'raw' | 'vma' | 'xva', string> & { data: Buffer }> {
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  await convert(fixture('partitioned-disk.vhdx'), at('disk.raw'), {})
  const root = fs.readFileSync(at('disk.raw'))
  // What a guest wrote looks like another image, and is still its data.
  const data = Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.from(diskLike(131072 - 8, 5))])
  fs.writeFileSync(
    at('vm.vma'),
    vmaBytes({
      disks: { 'drive-scsi0': root, 'drive-scsi1': data, vmstate: Buffer.alloc(4096, 1) },
      order: (index, count) => (index * 211) % count,
    }),
  )
  fs.writeFileSync(at('vm.xva'), xvaBytes({ disks: { root, data } }))
  return { folder, raw: at('disk.raw'), vma: at('vm.vma'), xva: at('vm.xva'), data }
}
const hashOf = (path: string): string => sha256(fs.readFileSync(path))

test('both disks of a Proxmox backup and of a Xen export are what was put in, by every name', async (t) => {
  const { folder, raw, vma, xva, data } = await backups(t)
  const target = join(folder, 'target.raw')
  const cli = (...args: readonly string[]): Promise<CliResult> => vdisk(args, { cwd: folder })
  for (const [path, names] of [
    [vma, ['drive-scsi0', 'scsi0', '1']],
    [xva, ['root', 'Ref:20', 'number:1']],
  ] as const) {
    for (const name of names) {
      await convert(`${path}@disk=${name}`, target, { force: true })
      assert.equal(hashOf(target), hashOf(raw), name)
    }
    await convert(`${path}@disk=2`, target, { force: true })
    assert.deepEqual(fs.readFileSync(target), data)
    assert.deepEqual((await check(`${path}@disk=1`, { deep: true })).counts, { error: 0, leak: 0, warning: 0 })
    const several = await cli('convert', path, 'other.raw')
    assert.equal(several.code, 2)
    assert.match(several.stderr, /several disks: [^]*@disk=/)
    const file = await cli('cat', `${path}@disk=1@2:/home/user/photo.raw`)
    assert.deepEqual(file.stdout, (await cli('cat', `${raw}@2:/home/user/photo.raw`)).stdout)
    assert.ok(file.stdout.length > 0)
  }
  assert.match(String((await cli('info', vma, '--verbose')).stdout), /web[^]*scsi0[^]*scsi1/)
  assert.match(String((await cli('info', xva, '--verbose')).stdout), /db & cache[^]*root[^]*data/)
  const info = JSON.parse(String((await cli('info', '--json', vma)).stdout)) as object
  assert.match(JSON.stringify(info), /"cpus":4.*"memory":2147483648.*"firmware":"uefi"/)
})

test('Proxmox backups compressed with zstd, gzip and lzop, and a Xen export with gzip', async (t) => {
  if (!have(t, 'zstd') || !have(t, 'lzop')) return
  const { folder, raw, vma, xva } = await backups(t)
  run('zstd', '-q', vma)
  run('gzip', '-k', vma, xva)
  run('lzop', '-q', vma)
  const target = join(folder, 'target.raw')
  for (const path of [`${vma}.zst`, `${vma}.gz`, `${vma}.lzo`, `${xva}.gz`]) {
    await convert(`${path}@disk=1`, target, { force: true })
    assert.equal(hashOf(target), hashOf(raw), path)
  }
})

test('files of lzop: what lzop makes of every kind of content, its checksums, damage', async (t) => {
  if (!have(t, 'lzop')) return
  const folder = testFolder(t)
  const content = Buffer.concat([diskLike(300_000, 3), Buffer.alloc(400_000), Buffer.alloc(262_144, 'pattern ')])
  const path = join(folder, 'x.raw')
  fs.writeFileSync(path, content)
  const target = join(folder, 'out.raw')
  for (const flags of [['-1'], ['-9'], ['-F'], ['-C'], ['--no-name'], ['-3', '--crc32']]) {
    assert.equal(spawnSync('lzop', ['-q', '-f', ...flags, path]).status, 0, flags.join(' '))
    await convert(`${path}.lzo`, target, { force: true })
    assert.deepEqual(fs.readFileSync(target), content, flags.join(' '))
  }
  const whole = fs.readFileSync(`${path}.lzo`)
  for (const [change, code] of [
    [(bytes: Buffer) => bytes.subarray(0, -1), 'E_TRUNCATED'],
    [(bytes: Buffer) => bytes.subarray(0, 20), 'E_TRUNCATED'],
    [(bytes: Buffer) => bytes.subarray(0, bytes.length / 2), 'E_TRUNCATED'],
    [(bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(9, 1)]), 'E_TRAILING_DATA'],
    [(bytes: Buffer) => flipped(bytes, 12), 'E_COMPRESSED'],
    [(bytes: Buffer) => flipped(bytes, 5000), 'E_COMPRESSED'],
    [(bytes: Buffer) => flipped(bytes, 60), undefined],
  ] as const) {
    fs.writeFileSync(`${path}.lzo`, change(Buffer.from(whole)))
    await assert.rejects(convert(`${path}.lzo`, target, { force: true }), (error) => {
      assert.ok(isImageError(error) && (code === undefined || error.code === code), String(error))
      return true
    })
  }
})

test('a disk of a Proxmox backup mounts', { skip: mountingMissing() ?? false }, async (t) => {
  const { raw, vma } = await backups(t)
  const place = mountPlace(t)
  const { folder } = await place.mount(`${vma}@disk=scsi0`)
  assert.equal(hashOf(join(folder, 'disk.img')), hashOf(raw))
  await place.unmount(`${vma}@disk=scsi0`)
})

function flipped(bytes: Buffer, position: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
  return bytes
}
