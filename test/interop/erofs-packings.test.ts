/**
 * What mkfs.erofs 1.8.6 of Debian 13 packs, which the one of Debian 12 cannot: LZMA, DEFLATE, Zstandard, fragments,
 * shared clusters, blocks of less than 4 KiB. Made anew with `erofsRecordings` and `-T1234567890 -U` of ones.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fixturesFolder } from '../../fixtures/manifest.js'
import { erofsFiles, erofsRecordings } from '../support/erofs-files.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz } from '../support/hostile-volumes.js'
import { loopsMissing } from '../support/loop.js'
import { assertSameFacts, hostFacts, treeFacts } from '../support/posix-trees.js'
import { isInstalled } from '../support/tools.js'
import { bufferVolume, content, identify, withKernelMount } from '../support/volumes.js'

const recordings = join(fixturesFolder, 'recordings/erofs')
const names = Object.keys(erofsRecordings)

test('EROFS with LZMA, DEFLATE, Zstandard, fragments and shared clusters gives the files that went in', () => {
  for (const name of names) {
    const found = identify(bufferVolume(fs.readFileSync(join(recordings, name))))
    assert.deepEqual(found?.issues, [], name)
    const tree = found.openTree?.()
    assert.ok(tree)
    assert.deepEqual([...tree.entries(tree.root)].map((entry) => entry.name).sort(), Object.keys(erofsFiles).sort())
    for (const [path, bytes] of Object.entries(erofsFiles)) {
      const node = tree.find(tree.root, path)
      assert.ok(node, path)
      assert.ok(Buffer.from(content(tree, node)).equals(bytes), `${name}: ${path}`)
      // From the middle of something that is stored as one.
      const piece = new Uint8Array(Math.min(100, bytes.length))
      const from = Math.floor((bytes.length - piece.length) * 0.7)
      if (piece.length === 0) continue
      tree.read(node, from, piece)
      assert.deepEqual(piece, Uint8Array.from(bytes.subarray(from, from + piece.length)), `${name}: ${path}`)
    }
  }
})

test('the kernel reads the same of them, where it has the decoders', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined || !isInstalled('mount')) {
    t.skip(missing ?? 'mount is not installed')
    return
  }
  for (const name of names) {
    const path = join(recordings, name)
    const mounted = join(testFolder(t), 'mount')
    let theirs: ReturnType<typeof hostFacts>
    try {
      theirs = withKernelMount(path, mounted, 'ro', () => hostFacts(mounted))
    } catch (error) {
      t.diagnostic(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      continue
    }
    const tree = identify(bufferVolume(fs.readFileSync(path)))?.openTree?.()
    assert.ok(tree)
    assertSameFacts(treeFacts(tree), theirs, name)
  }
})

test('changed bytes of them break nothing, and fragments that lead nowhere are damage', () => {
  for (const name of names) {
    const bytes = fs.readFileSync(join(recordings, name))
    const changeable = changeableBuffer(bytes)
    fuzz(
      changeable,
      [
        [1024, 1152],
        [1152, bytes.length - 8],
      ],
      12,
    )
    if (!name.includes('fragments')) continue
    const text = (value: number): void => {
      const changed = Buffer.from(bytes)
      changed.writeBigUInt64LE(BigInt(value), 1024 + 96)
      const tree = identify(bufferVolume(changed))?.openTree?.()
      const node = tree?.find(tree.root, 'text of 4097')
      assert.ok(tree !== undefined && node !== undefined)
      assert.throws(() => content(tree, node), { code: 'E_FS_CORRUPT' })
    }
    // No inode of fragments; the root in its place.
    for (const value of [0, bytes.readUInt16LE(1024 + 14)]) text(value)
  }
})
