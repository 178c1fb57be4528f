import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { openFile } from '../../../src/formats/open.js'
import { testFolder } from '../../support/folder.js'

/** Why a file or folder is not opened. */
function refusal(path: string): { readonly message: string; readonly hint: string } {
  try {
    openFile(path)[Symbol.dispose]()
  } catch (error) {
    assert.ok(isImageError(error) && error.kind === 'unsupported', String(error))
    return { message: error.message, hint: error.hint ?? '' }
  }
  throw new Error(`${path} was opened`)
}

const filled = (start: string, end = ''): Buffer => {
  const bytes = Buffer.alloc(70_000, 0x5a)
  bytes.write(start, 'latin1')
  bytes.write(end, bytes.length - end.length, 'latin1')
  return bytes
}

test('backups of other programs are named, with what to do instead', (t) => {
  const folder = testFolder(t)
  const cases: readonly (readonly [string, Buffer, RegExp, RegExp])[] = [
    ['a.bin', filled('\xfe\xef\x01\x02'), /a Ghost image/, /with Ghost/],
    ['b.bin', filled('\xce\x24\xb9\xa2\x20\0\0\0'), /an Acronis backup/, /Acronis/],
    ['c.bin', filled('\x0d\0\0\0\x01\0\0\0\x03\0\0\0md5'), /a Veeam backup/, /Veeam/],
    ['d.bin', filled('MSWIM\0\0\0'), /a WIM archive/, /wimlib-imagex apply/],
    ['e.bin', filled('x', 'MACRIUM_FILE'), /Macrium Reflect/, /Macrium Reflect/],
    ['f.bin', filled('FsArChV0'), /fsarchiver/, /fsarchiver restfs/],
    ['g.bin', filled('PaRtImAgE-VoLuMe'), /partimage/, /partimage/],
    ['h.bin', filled('ADSEGMENTEDFILE'), /AD1/, /FTK Imager/],
    ['j.bin', filled(`\0${'\xff'.repeat(10)}\0`.padEnd(2352, 'x') + `\0${'\xff'.repeat(10)}\0`), /CD image/, /bchunk/],
    ['k.bin', filled('QEVM\0\0\0\x03'), /saved state/, /not a disk/],
    ['l.bin', filled('PK\x07\x08PK\x03\x04'), /split zip/, /zip -s 0/],
    ['m.bin', filled('Salted__'), /OpenSSL/, /openssl enc -d/],
    ['n.bin', filled('AEA1\x01\0\0'), /encrypted archive/, /aea decrypt/],
    ['o.bin', filled('MEDIA DESCRIPTOR\x01'), /description of a CD/, /\.mdf/],
    ['i.bin', filled('LEF2\r\n\x81\0'), /logical evidence/, /EnCase/],
    ...(
      [
        ['adi', 'AOMEI'],
        ['pbd', 'EaseUS'],
        ['pbf', 'Paragon'],
        ['tibx', 'Acronis'],
        ['vbk', 'Veeam'],
        ['sna', 'Drive Snapshot'],
        ['spf', 'ShadowProtect'],
        ['GHO', 'Ghost'],
      ] as const
    ).map(
      ([extension, program]) =>
        [`x.${extension}`, filled('x'), /looks like .* by its name/, new RegExp(`${program}.*--from raw`)] as const,
    ),
  ]
  for (const [name, bytes, message, hint] of cases) {
    const path = join(folder, name)
    fs.writeFileSync(path, bytes)
    const refused = refusal(path)
    assert.match(refused.message, message, name)
    assert.match(refused.hint, hint, name)
  }
  using opened = openFile(join(folder, 'x.adi'), { from: 'raw' })
  assert.equal(opened.capacity, 70_000)
})

test('folders of backup programs are named, with what to do instead', (t) => {
  const folder = testFolder(t)
  const cases: readonly (readonly [RegExp, RegExp, readonly string[]])[] = [
    [/restic/, /restic mount/, ['config', 'data', 'index', 'keys', 'locks', 'snapshots']],
    [/Borg/, /borg mount/, ['README', 'config', 'data', 'hints.5', 'index.5']],
    [/Kopia/, /kopia mount/, ['kopia.repository.f', 'p0']],
    [/Time Machine/, /tmutil/, ['Backups.backupdb']],
    [/datastore of Proxmox Backup Server/, /Name the index of a disk/, ['.chunks', 'vm']],
    [/backup of Proxmox Backup Server/, /several disks/, ['index.json.blob', 'a.img.fidx', 'b.img.fidx']],
  ]
  for (const [index, [message, hint, names]] of cases.entries()) {
    const path = join(folder, String(index))
    fs.mkdirSync(path)
    for (const name of names) fs.writeFileSync(join(path, name), '')
    const refused = refusal(path)
    assert.match(refused.message, message)
    assert.match(refused.hint, hint)
  }
})
