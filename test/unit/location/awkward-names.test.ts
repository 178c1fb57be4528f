import assert from 'node:assert/strict'
import fs from 'node:fs'
import test from 'node:test'
import { rebaseChain } from '../../../src/operations/chain/rebase.js'
import { commitChain } from '../../../src/operations/chain/commit.js'
import { openFile } from '../../../src/formats/open.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { hostName } from '../../../src/sys/host-fs.js'
import { readSalvageMap, writeSalvageMap } from '../../../src/operations/imaging/salvage-map.js'
import { readImageRecord, writeImageRecord, type ImageRecord } from '../../../src/operations/imaging/record.js'
import { awkwardNames, word } from '../../support/byte-cli.js'
import { diskLike, readAll, sha256 } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import type { OpenOptions } from '../../../src/formats/open.js'
import { imageRecordPath, salvageMapPath } from '../../../src/operations/imaging/companions.js'

const disk = diskLike(262144, 3)
const other = diskLike(262144, 4)

function content(path: string, options: OpenOptions = {}): string {
  using image = openFile(path, options)
  return sha256(readAll(image))
}

test('a split set is joined whatever its name is', async (t) => {
  const folder = testFolder(t)
  for (const bytes of awkwardNames(folder)) {
    fs.writeFileSync(word(folder, '/', bytes, '.001'), disk.subarray(0, 100000))
    fs.writeFileSync(word(folder, '/', bytes, '.002'), disk.subarray(100000))
    const first = `${folder}/${hostName(bytes)}.001`
    const result = await convert(first, `${folder}/out.raw`, { force: true, verify: true })
    assert.equal(result.source.subformat, 'split', first)
    assert.equal(sha256(fs.readFileSync(`${folder}/out.raw`)), sha256(disk), first)
  }
})

test('parents, data files, --search and --parent-map: under every name, with a decoy beside it', async (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(`${folder}/a.raw`, disk)
  fs.writeFileSync(`${folder}/b.raw`, other)
  fs.mkdirSync(`${folder}/away`)
  for (const bytes of awkwardNames(folder)) {
    const name = hostName(bytes)
    const lossy = bytes.toString('utf8')
    const decoy = lossy === name ? undefined : `${folder}/${lossy}.qcow2`
    if (decoy !== undefined) fs.writeFileSync(decoy, 'decoy')
    const base = `${folder}/${name}.qcow2`
    const child = `${folder}/${name}.child.qcow2`
    // A format that cannot record a name with a colon or a backslash as its data file says so.
    const options = /[:\\]/.test(name) ? {} : { 'data-file': `${name}.data` }
    await convert(`${folder}/a.raw`, base, { options, verify: true })
    await convert(`${folder}/b.raw`, child, { parent: base, verify: true })
    assert.equal(content(child), sha256(other), name)
    assert.equal(content(base), sha256(disk), name)
    await rebaseChain(child, base)
    assert.equal(content(child), sha256(other), name)
    for (const end of ['.qcow2', ...('data-file' in options ? ['.data'] : [])])
      fs.renameSync(word(folder, '/', bytes, end), word(folder, '/away/', bytes, end))
    assert.throws(() => content(child), { code: 'E_PARENT_MISSING' }, name)
    assert.equal(content(child, { search: [`${folder}/away`] }), sha256(other), name)
    const parentMap = [{ from: `${name}.qcow2`, to: `${folder}/away` }]
    assert.equal(content(child, { parentMap }), sha256(other), name)
    assert.equal(content(child, { parentMap: [{ from: folder, to: `${folder}/away` }] }), sha256(other), name)
    assert.equal(content(child, { allowReferences: [`${folder}/away/${name}.qcow2`] }), sha256(other), name)
    if (decoy !== undefined) assert.equal(fs.readFileSync(decoy, 'utf8'), 'decoy', name)
  }
})

test('a commit goes into the parent of exactly that name', async (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(`${folder}/b.raw`, other)
  for (const bytes of awkwardNames(folder)) {
    const name = hostName(bytes)
    const lossy = `${folder}/${bytes.toString('utf8')}.raw`
    if (!fs.existsSync(lossy)) fs.writeFileSync(lossy, disk)
    fs.writeFileSync(word(folder, '/', bytes, '.raw'), disk)
    const child = `${folder}/child.qcow2`
    await convert(`${folder}/b.raw`, child, { parent: `${folder}/${name}.raw`, force: true })
    await commitChain(child)
    assert.equal(sha256(fs.readFileSync(word(folder, '/', bytes, '.raw'))), sha256(other), name)
    if (lossy !== `${folder}/${name}.raw`) assert.equal(sha256(fs.readFileSync(lossy)), sha256(disk), name)
  }
})

test('records and maps of images lie beside them, under every name', (t) => {
  const folder = testFolder(t)
  for (const bytes of awkwardNames(folder)) {
    const name = hostName(bytes)
    const image = `${folder}/${name}`
    writeImageRecord(image, record(name))
    assert.equal(readImageRecord(image)?.image.name, name)
    writeSalvageMap(salvageMapPath(image), 4096, [{ offset: 512, length: 512 }], 'test')
    assert.deepEqual(readSalvageMap(salvageMapPath(image), 4096), [{ offset: 512, length: 512 }])
    assert.deepEqual(
      fs.readdirSync(folder, { encoding: 'buffer' }).map(hostName).sort(),
      [`${name}.map`, `${name}.vdisk.json`].sort(),
    )
    for (const path of [imageRecordPath(image), salvageMapPath(image)])
      fs.unlinkSync(word(folder, '/', bytes, path.slice(image.length)))
  }
})

function record(name: string): ImageRecord {
  const digest = { start: 0, length: 4096, digest: '0'.repeat(64) }
  return {
    tool: { name: 'vdisk', version: '0' },
    started: '2026-11-23T04:05:06Z',
    ended: '2026-11-23T04:05:07Z',
    source: { kind: 'disk', path: '/dev/sdz', size: 4096, logicalSectorSize: 512, physicalSectorSize: 512 },
    consistency: { state: 'cold', why: 'nothing wrote' },
    image: { name, format: 'raw', subformat: 'flat', capacity: 4096 },
    digests: { algorithm: 'sha256', disk: digest, partitions: [] },
    usedOnly: false,
    unreadable: { bytes: 0 },
  }
}
