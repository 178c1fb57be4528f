import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SliceSource } from '../../src/block/slice.js'
import type { BlockSource } from '../../src/block/types.js'
import { isImageError } from '../../src/errors.js'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import { openFile } from '../../src/formats/open.js'
import { openCorpus, type CorpusRecord } from '../support/corpus.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

interface Known {
  readonly TYPE?: string
  readonly LABEL?: string
  readonly UUID?: string
  readonly VERSION?: string
}

interface Content extends Known {
  readonly PTTYPE?: string
  readonly pt?: {
    readonly sector?: number
    readonly parts: readonly { readonly start: number; readonly size: number }[]
  }
  readonly parts_fs?: readonly {
    readonly start?: number
    readonly fs?: string
    readonly label?: string
    readonly uuid?: string
  }[]
}

/**
 * Where vdisk says more than the blkid that was asked (2.38): it does not know bcachefs, and of BitLocker only that it
 * is there.
 */
const more: Readonly<Record<string, Known>> = {
  'util-linux/cramfs/cramfs-big.img': { TYPE: 'cramfs', LABEL: 'Compressed', VERSION: '2' },
  'util-linux/cramfs/cramfs-little.img': { TYPE: 'cramfs', LABEL: 'Compressed', VERSION: '2' },
  'util-linux/images-fs/cramfs.img.xz': { TYPE: 'cramfs', LABEL: 'test-cram', VERSION: '2' },
  'file-5.47/bcachefs.testfile': {
    TYPE: 'bcachefs',
    LABEL: 'Label',
    UUID: '46bd306f-80ad-4cd0-af4f-147e7d85f393',
    VERSION: '13',
  },
  'util-linux/images-fs/bcachefs.img.xz': {
    TYPE: 'bcachefs',
    LABEL: 'Label',
    UUID: '46bd306f-80ad-4cd0-af4f-147e7d85f393',
    VERSION: '13',
  },
  'util-linux/images-fs/bitlocker-win7.img.xz': {
    TYPE: 'BitLocker',
    LABEL: 'DESKTOP-7BHQ0UE Bitlocker Win 10 25/07/2024',
    UUID: '83330ba8-07b7-4ea8-b641-ff7bdf18f6b3',
    VERSION: '2',
  },
}

/** blkid writes what is no ASCII as `M-x` and `^x`, and puts a backslash before what a shell would take. */
function decoded(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const plain = text
    .replace(/\\(.)/g, '$1')
    .replace(/M-\^(.)|M-(.)|\^(.)/g, (_all, meta?: string, high?: string, control?: string) => {
      if (meta !== undefined) return String.fromCharCode((meta.charCodeAt(0) ^ 0x40) + 128)
      return high === undefined
        ? String.fromCharCode((control ?? '@').charCodeAt(0) ^ 0x40)
        : String.fromCharCode(high.charCodeAt(0) + 128)
    })
  return Buffer.from(plain, 'latin1').toString('utf8')
}

test('the filesystems of real images are what blkid said', (t) => {
  const corpus = openCorpus(t)
  if (corpus === undefined || !have(t, 'xz') || !have(t, 'gzip')) return
  const folder = testFolder(t)
  const wrong: string[] = []
  let compared = 0
  let maps = 0
  const compare = (what: string, volume: BlockSource, known: Known, withVersion: boolean): void => {
    const expected = more[what] ?? known
    const [found, ...others] = identifyFilesystems(volume)
    const ours = [found?.type, found?.label, found?.uuid, withVersion ? found?.version : undefined]
    const theirs = [
      expected.TYPE,
      expected === known ? decoded(expected.LABEL) : expected.LABEL,
      expected.UUID,
      withVersion ? decoded(expected.VERSION) : undefined,
    ]
    compared++
    if (JSON.stringify(ours) !== JSON.stringify(theirs) || others.length > 0)
      wrong.push(`${what}: ${JSON.stringify(ours)}, and blkid: ${JSON.stringify(theirs)}`)
    if (found?.usedRuns === undefined) return
    try {
      let end = 0
      for (const { offset, length } of found.usedRuns()) {
        if (offset < end || length <= 0) wrong.push(`${what}: runs that do not ascend`)
        end = offset + length
      }
      if (end > volume.capacity) wrong.push(`${what}: a run behind the end`)
      maps++
    } catch (error) {
      // Images that are cut short, or were in use.
      if (!isImageError(error) || !['E_FS_CORRUPT', 'E_FS_DIRTY'].includes(error.code)) throw error
      if (found.state === 'clean' && found.issues.length === 0) wrong.push(`${what}: ${error.message}`)
    }
  }
  for (const record of corpus.records) {
    const { content } = record as CorpusRecord & { readonly content?: Content | null }
    if (content === undefined || content === null) continue
    using disk = open(record, corpus.folder, folder)
    if (disk === undefined) continue
    if (content.TYPE !== undefined || (content.pt === undefined && content.PTTYPE === undefined))
      compare(record.path, disk, content, true)
    for (const { start, fs: type, label, uuid } of content.parts_fs ?? []) {
      const sector = content.pt?.sector ?? 512
      const part = start === undefined ? undefined : content.pt?.parts.find((candidate) => candidate.start === start)
      if (part === undefined || (part.start + part.size) * sector > disk.capacity) continue
      compare(
        `${record.path} at sector ${part.start}`,
        new SliceSource(disk, part.start * sector, part.size * sector),
        {
          TYPE: type,
          LABEL: label,
          UUID: uuid,
        },
        false,
      )
    }
  }
  assert.deepEqual(wrong, [])
  assert.ok(compared > 100 && maps > 40, `${compared} volumes, ${maps} maps`)
})

/** A disk of the corpus, unpacked where it is compressed; undefined where its format is not read here. */
function open(record: CorpusRecord, corpus: string, folder: string): (BlockSource & Disposable) | undefined {
  let path = join(corpus, record.path)
  const program = path.endsWith('.xz') ? 'xz' : path.endsWith('.gz') ? 'gzip' : undefined
  if (program !== undefined) {
    const unpacked = join(folder, 'unpacked')
    const file = fs.openSync(unpacked, 'w')
    const { status } = spawnSync(program, ['-dc', path], { stdio: ['ignore', file, 'ignore'] })
    fs.closeSync(file)
    if (status !== 0) return undefined
    path = unpacked
  }
  try {
    return openFile(path, {
      allowReferences: [corpus],
      parentFormat: 'auto',
      ...(program !== undefined || record.expect === 'raw' ? { from: 'raw' } : {}),
    })
  } catch (error) {
    if (isImageError(error)) return undefined
    throw error
  }
}
