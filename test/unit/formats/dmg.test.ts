import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { dmgImage, dmgType } from '../../../fixtures/spec-writer/dmg.js'
import { isImageError } from '../../../src/errors.js'
import { openFile } from '../../../src/formats/open.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'

/** A disk with an Apple partition map, so far as the start of it says. */
function mapped(): Buffer {
  const disk = Buffer.alloc(400 * 512)
  disk.write('ER', 0)
  disk.writeUInt16BE(512, 2)
  disk.writeUInt32BE(400, 4)
  disk.write('PM', 512)
  disk.set(diskLike(50_000, 3), 2048)
  return disk
}

test('a raw disk named .dmg is read as one; a DMG that is cut off never is, whatever it begins with', (t) => {
  const folder = testFolder(t)
  const path = join(folder, 'disk.dmg')
  writeFileSync(path, mapped())
  {
    using image = openFile(path)
    assert.equal(image.top.driver.id, 'raw')
    assert.equal(image.capacity, 400 * 512)
  }
  for (const types of [[dmgType.raw], [dmgType.zlib]]) {
    const whole = dmgImage({ content: mapped(), types, chunkSectors: 8 })
    for (const length of [whole.length - 1, whole.length - 512, whole.length - 5000, 20_000]) {
      writeFileSync(path, whole.subarray(0, length))
      assert.throws(
        () => openFile(path),
        (error) => isImageError(error) && error.kind === 'corrupt',
        `${length} of ${whole.length} bytes`,
      )
    }
  }
})
