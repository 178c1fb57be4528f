/** The fixtures as files of their own: unpacked and copied once into .work/, in folders as they lie in fixtures/. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { sha256 } from '../../fixtures/guest-hash.js'
import { fixturesFolder, readManifest, type FixtureRecord } from '../../fixtures/manifest.js'

/** The repository's root; this file runs from dist/test/support. */
export const rootFolder = fileURLToPath(new URL('../../../', import.meta.url))
/** Git ignores it. */
export const workFolder = join(rootFolder, '.work')

export const fixtures: readonly FixtureRecord[] = readManifest()

/** New manifest, new folder: nothing stale is ever read. */
const unpackedFolder = join(
  workFolder,
  'fixtures',
  sha256(readFileSync(join(fixturesFolder, 'manifest.json'))).slice(0, 12),
)

export function fixtureRecord(path: string): FixtureRecord {
  const found = fixtures.find((record) => record.path === path)
  if (found === undefined) throw new Error(`no fixture ${path} in the manifest`)
  return found
}

/** Absolute path of a fixture, with the files and parents it needs beside it. Tests must not change it. */
export function fixture(path: string): string {
  const record = fixtureRecord(path)
  if (record.parent !== undefined && fixtures.some((other) => other.path === record.parent)) fixture(record.parent)
  for (const file of Object.keys(record.files)) unpack(file)
  return join(unpackedFolder, path)
}

/** Test files run at the same time: each makes its own copy and renames it into place. */
function unpack(path: string): void {
  const target = join(unpackedFolder, path)
  if (existsSync(target)) return
  mkdirSync(dirname(target), { recursive: true })
  const stored = join(fixturesFolder, path)
  const own = `${target}.${process.pid}`
  if (existsSync(`${stored}.gz`)) writeFileSync(own, gunzipSync(readFileSync(`${stored}.gz`)))
  else copyFileSync(stored, own)
  renameSync(own, target)
}
