import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFile } from '../../src/formats/open.js'
import { isImageError } from '../../src/errors.js'
import { openCorpus } from '../support/corpus.js'

/** Formats of the corpus that are not read yet, and text: those inside are refused by name. */
const refused = /\.(?:bochs|dmg)\.bz2$|parallels|syslog/

test('compressed images of other people give their recorded content', (t) => {
  const corpus = openCorpus(t)
  if (corpus === undefined) return
  const wrong: string[] = []
  let read = 0
  for (const { path, kind, raw_sha256: expected, virtual_size: capacity } of corpus.records) {
    if (!['gz', 'bz2', 'xz'].includes(kind)) continue
    try {
      using image = openFile(join(corpus.folder, path))
      if (image.top.image.format !== 'raw') {
        // The record is of the file inside, not of its disk.
        const content = image.top.wrappings.at(-1)?.content
        if (content !== capacity) wrong.push(`${path}: ${content ?? 0} bytes instead of ${capacity ?? 0}`)
        read++
        continue
      }
      const hash = createHash('sha256')
      const bytes = new Uint8Array(1048576)
      for (let offset = 0; offset < image.capacity; offset += bytes.length) {
        const piece = bytes.subarray(0, Math.min(bytes.length, image.capacity - offset))
        image.read(offset, piece)
        hash.update(piece)
      }
      if (image.capacity !== capacity) wrong.push(`${path}: ${image.capacity} bytes instead of ${capacity ?? 0}`)
      else if (hash.digest('hex') !== expected) wrong.push(`${path}: other content`)
      read++
    } catch (error) {
      const { code } = isImageError(error) ? error : { code: String(error) }
      if (!refused.test(path) || !['E_UNSUPPORTED_FORMAT', 'E_NOT_A_DISK_IMAGE'].includes(code))
        wrong.push(`${path}: ${String(error)}`)
    }
  }
  assert.deepEqual(wrong, [])
  assert.ok(read >= 60, `${read} read`)
})
