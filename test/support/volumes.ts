/** Volumes made and read by the systems' own tools, to compare with. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import type { TestContext } from 'node:test'
import { FileStore } from '../../src/block/file-store.js'
import type { BlockSource } from '../../src/block/types.js'
import { bitlocker } from '../../src/filesystem/bitlocker.js'
import { exfat } from '../../src/filesystem/exfat/index.js'
import { fat } from '../../src/filesystem/fat/index.js'
import { ntfs } from '../../src/filesystem/ntfs/index.js'
import { refs } from '../../src/filesystem/refs.js'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import type { Filesystem, FileTree, FileNode, ByteRun } from '../../src/filesystem/types.js'
import { openStore } from '../../src/formats/open.js'
import { have, run } from './tools.js'

export const windowsFamilies = [bitlocker, ntfs, exfat, refs, fat]

/** A file as a volume. */
export function openVolume(t: TestContext, path: string): BlockSource {
  const volume = openStore(FileStore.openRead(path), undefined, { from: 'raw' })
  t.after(() => volume[Symbol.dispose]())
  return volume
}

/** Bytes in memory as a volume, without a copy. */
export function bufferVolume(bytes: Uint8Array): BlockSource {
  return {
    capacity: bytes.length,
    sectorSize: 512,
    grain: 512,
    extentAt: () => {
      throw new Error('filesystems are read, not mapped')
    },
    read: (offset, target) => {
      if (offset < 0 || offset + target.length > bytes.length)
        throw new RangeError(`read of ${target.length} bytes at ${offset} of ${bytes.length}`)
      target.set(bytes.subarray(offset, offset + target.length))
    },
    [Symbol.dispose]: () => undefined,
  }
}

/** What the families of Windows see in a volume: one match at most. */
export function identifyWindows(volume: BlockSource): Filesystem | undefined {
  const found = windowsFamilies.flatMap((family) => family.identify(volume))
  if (found.length > 1) throw new Error(`several matches: ${found.map(({ title }) => title).join(', ')}`)
  return found[0]
}

/** What a volume is: one match at most. */
export function identify(volume: BlockSource): Filesystem | undefined {
  const found = identifyFilesystems(volume)
  if (found.length > 1) throw new Error(`several matches: ${found.map(({ title }) => title).join(', ')}`)
  return found[0]
}

/** An empty sparse file. */
export function emptyFile(path: string, size: number): string {
  fs.closeSync(fs.openSync(path, 'w'))
  fs.truncateSync(path, size)
  return path
}

export function haveAll(t: TestContext, ...programs: string[]): boolean {
  return programs.every((program) => have(t, program))
}

/** What blkid says, by its names. */
export function blkid(path: string): Readonly<Record<string, string>> {
  const text = run('blkid', '-p', '-o', 'udev', path)
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => {
        const sign = line.indexOf('=')
        return [line.slice(0, sign), line.slice(sign + 1)]
      }),
  )
}

/** The runs in use that partclone finds. @param kind the name of its program: `fat`. */
export function partcloneRuns(kind: string, path: string, folder: string): ByteRun[] {
  const domain = `${path}.domain`
  const result = spawnSync(`partclone.${kind}`, ['-D', '-F', '-s', path, '-o', domain, '-L', `${path}.log`], {
    cwd: folder,
    encoding: 'utf8',
  })
  if (result.status !== 0) throw new Error(`partclone.${kind}: ${result.stdout}${result.stderr}`)
  const runs: ByteRun[] = []
  for (const line of fs.readFileSync(domain, 'utf8').split('\n')) {
    const match = /^(0x[0-9A-F]+) +(0x[0-9A-F]+) +\+$/.exec(line)
    if (match !== null) runs.push({ offset: Number(match[1]), length: Number(match[2]) })
  }
  return runs
}

/** Mounts a volume with a FUSE program while `use` runs. */
export function withMount<Result>(
  program: string,
  path: string,
  folder: string,
  options: readonly string[],
  use: () => Result,
): Result {
  fs.mkdirSync(folder, { recursive: true })
  run(program, ...options, path, folder)
  try {
    return use()
  } finally {
    run('fusermount3', '-u', folder)
    waitForRelease(path)
  }
}

/** A loop device over a file while `use` runs: what exfat-fuse wants to have when it runs as root. */
export function withLoop<Result>(path: string, use: (device: string) => Result, ...options: string[]): Result {
  if (process.getuid?.() !== 0) return use(path)
  const device = run('losetup', '--find', '--show', ...options, path).trim()
  try {
    return use(device)
  } finally {
    run('losetup', '-d', device)
  }
}

/** Mounts a volume with the kernel's own driver while `use` runs. Needs root and loop devices. */
export function withKernelMount<Result>(path: string, folder: string, options: string, use: () => Result): Result {
  fs.mkdirSync(folder, { recursive: true })
  run('mount', '-o', `loop,${options}`, path, folder)
  try {
    return use()
  } finally {
    run('umount', folder)
  }
}

/** The FUSE program ends, and writes what it still has, only after the folder is free. */
function waitForRelease(path: string): void {
  const real = fs.realpathSync(path)
  const isOpen = (): boolean =>
    fs
      .readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
      .some((process) => {
        try {
          return fs.readdirSync(`/proc/${process}/fd`).some((fd) => {
            try {
              return fs.readlinkSync(`/proc/${process}/fd/${fd}`) === real
            } catch {
              return false
            }
          })
        } catch {
          return false
        }
      })
  for (let tries = 0; isOpen(); tries++) {
    if (tries > 500) throw new Error(`${path} is still in use`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  }
}

/** All bytes of a file of a tree. */
export function content(tree: FileTree, file: FileNode): Buffer {
  const bytes = Buffer.alloc(file.size)
  for (let at = 0; at < bytes.length; at += 300000)
    tree.read(file, at, bytes.subarray(at, Math.min(at + 300000, bytes.length)))
  return bytes
}

/** Every file of a tree by its path, without a leading slash. */
export function allFiles(tree: FileTree, folder: FileNode = tree.root, path = ''): Map<string, FileNode> {
  const files = new Map<string, FileNode>()
  for (const entry of tree.entries(folder)) {
    const file = entry.open()
    files.set(path + entry.name, file)
    if (file.kind === 'directory')
      for (const [name, below] of allFiles(tree, file, `${path}${entry.name}/`)) files.set(name, below)
  }
  return files
}
