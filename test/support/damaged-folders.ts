import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { check, isImageError, openImage } from '../../src/index.js'
import { diskFolder, type FolderFiles } from './disk-folder.js'
import { testFolder } from './folder.js'
import { guestSha256 } from './guest-hash.js'
import { ProcessorTime } from './processor-time.js'

/** A disk of several files, and the right answer. */
export interface DamagedFolder {
  readonly what: string
  readonly files: () => FolderFiles
  /** After the files are there: links, permissions. */
  readonly prepare?: (folder: string) => void
  /** What is opened in the folder; default: the folder itself. */
  readonly open?: string
  /** Codes of what check finds; or the code that reading it is refused with. */
  readonly answer: readonly string[] | string
  /** What reading all of it gives, where it is not refused: a hash of the content, or the code of an error. */
  readonly reads?: string
  readonly says?: RegExp
  readonly options?: Readonly<Record<string, boolean>>
}

/** What reading all of a disk gives. */
async function contentOf(
  path: string,
  fromOptions: DamagedFolder['options'],
): Promise<{ readonly hash?: string; readonly error?: string; readonly text: string }> {
  try {
    using image = await openImage(path, { fromOptions })
    return { hash: guestSha256(image), text: '' }
  } catch (error) {
    assert.ok(isImageError(error), error instanceof Error ? error.stack : String(error))
    assert.notEqual(error.kind, 'internal', error.message)
    return { error: error.code, text: error.message }
  }
}

/** Opens each disk, checks it, and reads all of it: the right answer, with bounded time and memory. */
export function testDamagedFolders(name: string, cases: readonly DamagedFolder[]): void {
  for (const { what, files, prepare, open, answer, reads, says, options } of cases)
    test(`${name}: ${what}`, async (t) => {
      const folder = diskFolder(testFolder(t), name, files())
      prepare?.(folder)
      const path = open === undefined ? folder : join(folder, open)
      const begun = new ProcessorTime()
      const content = await contentOf(path, options)
      if (typeof answer === 'string') assert.equal(content.error, answer, content.text)
      else {
        assert.equal(content.error ?? content.hash, reads, content.text)
        const { layers } = await check(path, { deep: true, fromOptions: options })
        const found = layers.flatMap((layer) => layer.groups.map(({ code }) => code)).sort()
        const messages = layers.flatMap((layer) => layer.findings.map(({ message }) => message)).join('\n')
        assert.deepEqual(found, [...answer].sort(), messages)
        if (says !== undefined) assert.match(messages, says)
      }
      if (typeof answer === 'string' && says !== undefined) assert.match(content.text, says)
      begun.atMost(2000)
    })
  test(`${name}: ${cases.length} damaged disks took less than 256 MiB`, () => {
    assert.ok(process.resourceUsage().maxRSS < 256 * 1024, `${process.resourceUsage().maxRSS} KiB`)
  })
}
