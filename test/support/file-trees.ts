/** Trees of files: made, and seen, on the host; copied out of an image by vdisk. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { copyFiles } from '../../src/operations/files/copy.js'
import { diskLike, sha256 } from './content.js'
import { testFolder } from './folder.js'

const mebibyte = 1048576

export interface Seen {
  readonly kind: string
  readonly sha256?: string
  readonly size?: number
  readonly target?: string
  readonly modified?: number
  readonly inode?: bigint
}

/**
 * Every file below a folder of the host: kind, content, size, target, time in microseconds. `without`: files not to be
 * read.
 */
export function seen(folder: string, path = '', without: readonly string[] = []): Map<string, Seen> {
  const files = new Map<string, Seen>()
  for (const name of fs.readdirSync(join(folder, path))) {
    const place = join(folder, path, name)
    const stat = fs.lstatSync(place, { bigint: true })
    const modified = Number(stat.mtimeNs / 1000n)
    if (without.includes(path + name)) continue
    if (stat.isSymbolicLink()) files.set(path + name, { kind: 'link', target: fs.readlinkSync(place), modified })
    else if (stat.isDirectory()) {
      files.set(path + name, { kind: 'directory', modified })
      for (const [below, file] of seen(folder, `${path}${name}/`, without)) files.set(below, file)
    } else
      files.set(path + name, {
        kind: 'file',
        sha256: sha256(fs.readFileSync(place)),
        size: Number(stat.size),
        modified,
        ...(stat.nlink > 1n ? { inode: stat.ino } : {}),
      })
  }
  return files
}

/** Times are compared where the peer keeps them alike; inodes only as "the same file". */
export function comparable(files: Map<string, Seen>, timeStep: number): [string, unknown][] {
  const groups = new Map<bigint, number>()
  return [...files]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([path, { modified = 0, inode, ...file }]) => {
      if (inode !== undefined && !groups.has(inode)) groups.set(inode, groups.size)
      return [
        path,
        {
          ...file,
          modified: timeStep === 0 ? undefined : Math.floor(modified / timeStep),
          same: inode === undefined ? undefined : groups.get(inode),
        },
      ]
    })
}

/** Names of all kinds, folders with many entries, files of all sizes. */
export function fill(folder: string, extra: (at: (name: string) => string) => void = () => undefined): void {
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('empty'), '')
  fs.writeFileSync(at('one'), 'x')
  fs.writeFileSync(at('UPPER.TXT'), 'upper')
  fs.writeFileSync(at('lower.txt'), 'lower')
  fs.writeFileSync(at('A long name with spaces and.dots.in it.text'), diskLike(70000, 1))
  fs.writeFileSync(at('Ünïcödé 名前 𝄞.bin'), diskLike(3 * mebibyte + 13, 2))
  fs.mkdirSync(at('many'))
  for (let index = 0; index < 400; index++) fs.writeFileSync(at(`many/file number ${index}`), `content ${index}`)
  for (let index = 0; index < 400; index += 3) fs.rmSync(at(`many/file number ${index}`))
  fs.mkdirSync(at('a/b/c/d'), { recursive: true })
  fs.writeFileSync(at('a/b/c/d/deep'), 'deep')
  fs.writeFileSync(at(`${'n'.repeat(250)}.txt`), 'long')
  // Two files that grow in turns lie in many pieces.
  for (let piece = 0; piece < 60; piece++)
    for (const name of ['left', 'right']) fs.appendFileSync(at(name), diskLike(9000, piece))
  extra(at)
  fs.utimesSync(at('lower.txt'), 1_000_000_000, 1_234_567_890)
}

export async function copied(
  t: TestContext,
  image: string,
  without: readonly string[] = [],
): Promise<{ files: Map<string, Seen>; folder: string }> {
  const folder = join(testFolder(t), 'copy')
  fs.mkdirSync(folder)
  const result = await copyFiles(image, '/', folder, { recursive: true, from: 'raw' })
  assert.deepEqual(result.failures, [])
  return { files: seen(folder, '', without), folder }
}
