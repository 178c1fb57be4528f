/**
 * Images made by other people, read in place: `VDISK_CORPUS` names their folder, which is not part of the repository.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { workFolder } from './fixtures.js'
import { have, run } from './tools.js'
import { skipReason } from './complete.js'

export interface CorpusRecord {
  readonly path: string
  readonly kind: string
  readonly size: number
  readonly sha256: string
  readonly expect: 'decode' | 'raw' | 'reject' | 'missing-dependency' | 'encrypted' | 'partly-corrupt'
  readonly virtual_size: number | null
  readonly raw_sha256?: string | null
  readonly raw_nz64k?: string | null
  readonly snapshots?: readonly { readonly name: string; readonly size: number; readonly raw_nz64k: string }[]
}

const corpusFolder = process.env['VDISK_CORPUS']

/**
 * The records and the folder they lie in; undefined after a visible skip, where no corpus is named.
 * @param second the second archive: images of kinds that came later.
 */
export function openCorpus(
  t: TestContext,
  second = false,
): { readonly records: readonly CorpusRecord[]; readonly folder: string } | undefined {
  const suffix = second ? '-2' : ''
  if (corpusFolder === undefined) {
    t.skip(skipReason('VDISK_CORPUS names no folder of images'))
    return undefined
  }
  const archive = join(corpusFolder, `images${suffix}.tar.xz`)
  if (!existsSync(archive)) throw new Error(`VDISK_CORPUS is set, and ${archive} is missing`)
  if (!have(t, 'tar') || !have(t, 'xz')) return undefined
  const records = JSON.parse(readFileSync(join(corpusFolder, `manifest${suffix}.json`), 'utf8')) as CorpusRecord[]
  const folder = join(workFolder, `corpus${suffix}`)
  if (!existsSync(folder)) {
    const own = `${folder}.${process.pid}`
    mkdirSync(own, { recursive: true })
    try {
      run('tar', '-xJf', archive, '-C', own)
      renameSync(own, folder)
    } finally {
      rmSync(own, { recursive: true, force: true })
    }
  }
  return { records, folder }
}
