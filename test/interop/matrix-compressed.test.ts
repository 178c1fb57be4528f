import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { convert, hash } from '../../src/index.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { subtypes } from '../support/subtypes.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
/** A whole number of everybody's units, with zeros and content that does not compress. */
const content = Buffer.concat([diskLike(5 * mebibyte, 1), Buffer.alloc(2 * mebibyte), diskLike(mebibyte, 2)])

const oneOfEach = ['raw', 'VHD dynamic', 'VHDX dynamic', 'QCOW2 v3', 'VDI dynamic', 'VMDK stream']

const containers = [
  { extension: 'gz', pack: ['gzip', '-1c'], unpack: ['gzip', '-dc'] },
  { extension: 'xz', pack: ['xz', '-0c'], unpack: ['xz', '-dc'] },
  { extension: 'zst', pack: ['zstd', '-qc'], unpack: ['zstd', '-qdc'] },
] as const

for (const { extension, pack, unpack } of containers) {
  test(`raw.${extension}: from subtypes of vdisk and qemu-img, and to them from ours and ${pack[0]}'s`, async (t) => {
    if (!have(t, 'qemu-img') || !have(t, pack[0])) return
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    fs.writeFileSync(at('disk.raw'), content)
    const expected = (await hash(at('disk.raw'))).digests[0]?.digest
    fs.writeFileSync(at(`theirs.raw.${extension}`), by(pack[0], pack.slice(1), content))
    await convert(at('disk.raw'), at(`ours.raw.${extension}`))
    // What is inside does not depend on how it is compressed: all subtypes with gzip, one of each format with others.
    const tried = extension === 'gz' ? subtypes : subtypes.filter(({ name }) => oneOfEach.includes(name))
    for (const { name, extension: own, options, qemuFormat, qemuArguments } of tried) {
      const [made, theirs] = [at(`ours.${own}`), at(`qemu.${own}`)]
      await convert(at(`ours.raw.${extension}`), made, { ...options, force: true })
      assert.equal((await hash(made)).digests[0]?.digest, expected, `${name} from ours`)
      await convert(made, at(`out.raw.${extension}`), { force: true })
      const back = by(unpack[0], unpack.slice(1), fs.readFileSync(at(`out.raw.${extension}`)))
      assert.equal(Buffer.compare(back, content), 0, `${name} of vdisk`)
      await convert(at(`theirs.raw.${extension}`), made, { ...options, force: true })
      assert.equal((await hash(made)).digests[0]?.digest, expected, `${name} from ${pack[0]}'s`)
      run('qemu-img', 'convert', '-f', 'raw', '-O', qemuFormat, ...qemuArguments, at('disk.raw'), theirs)
      await convert(theirs, at(`out.raw.${extension}`), { force: true })
      const again = by(unpack[0], unpack.slice(1), fs.readFileSync(at(`out.raw.${extension}`)))
      assert.equal(Buffer.compare(again, content), 0, `${name} of qemu-img`)
    }
  })
}
