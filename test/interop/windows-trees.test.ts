import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike } from '../support/content.js'
import { comparable, copied, fill, seen, type Seen } from '../support/file-trees.js'
import { testFolder } from '../support/folder.js'
import { run, runIn } from '../support/tools.js'
import { emptyFile, haveAll, withLoop, withMount } from '../support/volumes.js'

const mebibyte = 1048576

test('a copied FAT tree is what mtools reads', async (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mcopy', 'mdel')) return
  for (const [bits, size, cluster] of [
    ['12', 8 * mebibyte, '8'],
    ['16', 40 * mebibyte, '2'],
    ['32', 70 * mebibyte, '1'],
  ] as const) {
    const folder = testFolder(t)
    const source = join(folder, 'source')
    fs.mkdirSync(source)
    fill(source)
    const image = emptyFile(join(folder, 'image'), size)
    run('mkfs.vfat', '-F', bits, '-s', cluster, image)
    runIn(source, 'mcopy', '-s', '-m', '-Q', '-i', image, ...fs.readdirSync(source), '::')
    run('mdel', '-i', image, '::one', '::many/file number 1')
    const theirs = join(folder, 'theirs')
    fs.mkdirSync(theirs)
    runIn(theirs, 'mcopy', '-s', '-m', '-n', '-i', image, '::*', '.')
    const { files } = await copied(t, image)
    // mtools takes local times as the host's, which has UTC here; folders get no time from it.
    const withoutFolderTimes = (all: Map<string, Seen>): Map<string, Seen> =>
      new Map([...all].map(([name, file]) => [name, file.kind === 'directory' ? { kind: file.kind } : file]))
    assert.deepEqual(
      comparable(withoutFolderTimes(files), 2_000_000),
      comparable(withoutFolderTimes(seen(theirs)), 2_000_000),
    )
    assert.ok(files.size > 250)
  }
})

test('a copied exFAT tree is what exfat-fuse reads', async (t) => {
  if (!haveAll(t, 'mkfs.exfat', 'mount.exfat-fuse', 'fusermount3')) return
  const folder = testFolder(t)
  const image = emptyFile(join(folder, 'image'), 64 * mebibyte)
  run('mkfs.exfat', '-c', '4K', image)
  const mount = join(folder, 'mount')
  withLoop(image, (device) =>
    withMount('mount.exfat-fuse', device, mount, [], () =>
      fill(mount, (at) => {
        fs.writeFileSync(at('grown'), 'start')
        // Space that was never written reads as zero.
        fs.truncateSync(at('grown'), 2 * mebibyte)
      }),
    ),
  )
  const { files } = await copied(t, image)
  const theirs = withLoop(image, (device) =>
    withMount('mount.exfat-fuse', device, mount, ['-o', 'ro'], () => seen(mount)),
  )
  assert.deepEqual(comparable(files, 1_000_000), comparable(theirs, 1_000_000))
  assert.ok(files.size > 250)
})

test('a copied NTFS tree is what ntfs-3g reads', async (t) => {
  if (!haveAll(t, 'mkfs.ntfs', 'ntfs-3g', 'fusermount3', 'setfattr')) return
  for (const cluster of ['4096', '1024']) {
    const folder = testFolder(t)
    const image = emptyFile(join(folder, 'image'), 64 * mebibyte)
    run('mkfs.ntfs', '-F', '-Q', '-q', '-c', cluster, image)
    const mount = join(folder, 'mount')
    const text = Buffer.from('All work and no play makes Jack a dull boy. '.repeat(9000))
    withMount('ntfs-3g', image, mount, ['-o', 'compression,streams_interface=xattr'], () =>
      fill(mount, (at) => {
        fs.linkSync(at('one'), at('a/hard link'))
        fs.symlinkSync('../one', at('a/symbolic'))
        fs.mkdirSync(at('packed'))
        run('setfattr', '-h', '-v', '0x00000800', '-n', 'system.ntfs_attrib_be', at('packed'))
        fs.writeFileSync(at('packed/text'), text)
        fs.writeFileSync(at('packed/noise'), diskLike(300_000, 7))
        const sparse = fs.openSync(at('packed/holes'), 'w')
        fs.writeSync(sparse, text, 0, 5000, 0)
        fs.writeSync(sparse, text, 0, 5000, 3_000_000)
        fs.closeSync(sparse)
        fs.writeFileSync(at('sparse'), 'start')
        fs.truncateSync(at('sparse'), 30 * mebibyte)
        // So many pieces that their list needs records of its own.
        const pieces = fs.openSync(at('pieces'), 'w')
        for (let index = 0; index < 500; index++) fs.writeSync(pieces, text, index, 100, index * 9000)
        fs.closeSync(pieces)
        for (let index = 0; index < 20; index++)
          fs.linkSync(at('pieces'), at(`many/another name of the file in many pieces, number ${index}`))
        reparsePoint(at('a/windows link'), symbolicLink('..\\lower.txt', true))
        fs.mkdirSync(at('a/junction'))
        reparsePoint(at('a/junction'), junction('C:\\a\\b'))
        fs.writeFileSync(at('streams'), 'main')
        run('setfattr', '-n', 'user.other', '-v', 'a further stream', at('streams'))
      }),
    )
    const { files, folder: copy } = await copied(t, image)
    const theirs = withMount('ntfs-3g', image, mount, ['-o', 'ro'], () => seen(mount))
    // ntfs-3g shows the target of a junction as a path of the host, below the place where it is mounted.
    assert.match(theirs.get('a/junction')?.target ?? '', /a\/b$/)
    theirs.set('a/junction', { ...theirs.get('a/junction'), kind: 'link', target: 'C:\\a\\b' })
    assert.deepEqual(comparable(files, 1), comparable(theirs, 1))
    assert.ok(files.size > 250)
    assert.ok(fs.statSync(join(copy, 'sparse')).blocks * 512 < mebibyte, 'holes stay holes')
    assert.ok(fs.statSync(join(copy, 'packed/holes')).blocks * 512 < mebibyte)
    assert.deepEqual(
      [files.get('a/windows link')?.target, files.get('a/junction')?.target],
      ['../lower.txt', 'C:\\a\\b'],
    )
    assert.deepEqual(
      [files.get('a/symbolic')?.target, files.get('a/hard link')?.inode],
      ['../one', files.get('one')?.inode],
    )
  }
})

/** Makes an empty file or folder a reparse point, through ntfs-3g. */
function reparsePoint(path: string, data: Buffer): void {
  if (!fs.existsSync(path)) fs.writeFileSync(path, '')
  run('setfattr', '-h', '-n', 'system.ntfs_reparse_data', '-v', `0x${data.toString('hex')}`, path)
}

/** [MS-FSCC] 2.1.2.4 */
function symbolicLink(target: string, relative: boolean): Buffer {
  const name = Buffer.from(target, 'utf16le')
  const data = Buffer.alloc(20 + name.length * 2)
  data.writeUInt32LE(0xa000000c, 0)
  data.writeUInt16LE(data.length - 8, 4)
  data.writeUInt16LE(0, 8)
  data.writeUInt16LE(name.length, 10)
  data.writeUInt16LE(name.length, 12)
  data.writeUInt16LE(name.length, 14)
  data.writeUInt32LE(relative ? 1 : 0, 16)
  name.copy(data, 20)
  name.copy(data, 20 + name.length)
  return data
}

/** [MS-FSCC] 2.1.2.5 */
function junction(target: string): Buffer {
  const substitute = Buffer.from(`\\??\\${target}`, 'utf16le')
  const shown = Buffer.from(target, 'utf16le')
  const data = Buffer.alloc(16 + substitute.length + 2 + shown.length + 2)
  data.writeUInt32LE(0xa0000003, 0)
  data.writeUInt16LE(data.length - 8, 4)
  data.writeUInt16LE(substitute.length, 10)
  data.writeUInt16LE(substitute.length + 2, 12)
  data.writeUInt16LE(shown.length, 14)
  substitute.copy(data, 16)
  shown.copy(data, 16 + substitute.length + 2)
  return data
}
