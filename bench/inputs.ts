import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'

const gibibyte = 1024 ** 3

/** A raw disk to convert from. `data` is how much of it the filesystem's files fill. */
export interface Input {
  readonly name: string
  readonly file: string
}

/**
 * Builds (once) the raw inputs: an ext4 disk half full of this machine's own files, the same without holes, and a
 * larger one with
 * little data. `size` is the capacity of the first two in bytes.
 */
export function buildInputs(folder: string, size: number): { half: Input; full: Input; large: Input } {
  fs.mkdirSync(folder, { recursive: true })
  const label = `${Math.round((size / gibibyte) * 100) / 100}G`
  const half = { name: `half-full ${label}`, file: path.join(folder, `half-${label}.raw`) }
  const full = { name: `allocated ${label}`, file: path.join(folder, `full-${label}.raw`) }
  const large = {
    name: `${Math.round((size / gibibyte) * 16)}G with a quarter of ${label}`,
    file: path.join(folder, `large-${label}.raw`),
  }
  if (!fs.existsSync(half.file)) filesystem(half.file, size, size / 2)
  if (!fs.existsSync(full.file)) {
    execFileSync('cp', ['--sparse=never', half.file, `${full.file}.new`])
    fs.renameSync(`${full.file}.new`, full.file)
  }
  if (!fs.existsSync(large.file)) filesystem(large.file, size * 16, size / 4)
  return { half, full, large }
}

/** An ext4 filesystem in a sparse file, filled with files of /usr until `data` bytes are used. No mount, no root. */
function filesystem(file: string, capacity: number, data: number): void {
  const tree = fs.mkdtempSync(path.join(path.dirname(file), 'tree-'))
  try {
    let used = 0
    const copyFrom = (folder: string, to: string): void => {
      for (const entry of fs
        .readdirSync(folder, { withFileTypes: true })
        .sort((a, b) => a.name.localeCompare(b.name))) {
        if (used >= data) return
        const from = path.join(folder, entry.name)
        if (entry.isDirectory()) {
          fs.mkdirSync(path.join(to, entry.name), { recursive: true })
          copyFrom(from, path.join(to, entry.name))
        } else if (entry.isFile()) {
          try {
            fs.copyFileSync(from, path.join(to, entry.name))
            used += fs.statSync(from).size
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
          }
        }
      }
    }
    for (let round = 0; used < data; round++) {
      const before = used
      for (const folder of ['/usr/lib', '/usr/bin', '/usr/share']) {
        const to = path.join(tree, `${round}`, path.basename(folder))
        fs.mkdirSync(to, { recursive: true })
        copyFrom(folder, to)
      }
      if (used === before) throw new Error('found no files to fill the disk with')
    }
    fs.closeSync(fs.openSync(`${file}.new`, 'w'))
    fs.truncateSync(`${file}.new`, capacity)
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', tree, `${file}.new`], { stdio: ['ignore', 'ignore', 'inherit'] })
    fs.renameSync(`${file}.new`, file)
  } finally {
    fs.rmSync(tree, { recursive: true, force: true })
  }
}
