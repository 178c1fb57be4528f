/** A disk with five partitions of five filesystems, filled by their own tools. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { diskLike } from './content.js'
import { hashes } from './mounted.js'
import { run } from './tools.js'
import { emptyFile, withKernelMount, withMount } from './volumes.js'

const mebibyte = 1048576

/** In the order of the partitions, which are numbered from 1. Sizes in MiB. */
export const volumes = [
  { type: 'ext4', size: 12 },
  { type: 'xfs', size: 24 },
  { type: 'btrfs', size: 24 },
  { type: 'ntfs', size: 12 },
  { type: 'vfat', size: 34 },
] as const
export type VolumeType = (typeof volumes)[number]['type']

/** Names and sizes that every filesystem takes. */
function fill(folder: string): void {
  fs.mkdirSync(join(folder, 'folder/below'), { recursive: true })
  fs.writeFileSync(join(folder, 'small.txt'), 'small')
  fs.writeFileSync(join(folder, 'empty'), '')
  fs.writeFileSync(join(folder, 'large.bin'), diskLike(2 * mebibyte + 4711, 7))
  for (let index = 0; index < 60; index++)
    fs.writeFileSync(join(folder, `folder/file ${index}`), diskLike(index * 700, index + 1))
  fs.writeFileSync(join(folder, 'folder/below/A longer name of a file.text'), diskLike(70001, 3))
}

/** A volume of its own with files in it. @returns what they hold. */
export function makeVolume(type: VolumeType, size: number, path: string, scratch: string): Map<string, string> {
  const source = join(scratch, `files-${type}`)
  const point = join(scratch, `point-${type}`)
  fs.mkdirSync(source)
  fill(source)
  emptyFile(path, size * mebibyte)
  const copy = (): void => fs.cpSync(source, point, { recursive: true })
  switch (type) {
    case 'ext4':
      run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', source, path)
      break
    case 'xfs':
      run('mkfs.xfs', '-q', '--unsupported', path)
      withKernelMount(path, point, 'rw', copy)
      break
    case 'btrfs':
      run('mkfs.btrfs', '-q', '-M', '--rootdir', source, path)
      break
    case 'ntfs':
      run('mkfs.ntfs', '-F', '-Q', '-q', path)
      withMount('ntfs-3g', path, point, [], copy)
      break
    case 'vfat':
      run('mkfs.vfat', '-F', '32', path)
      run('mcopy', '-s', '-i', path, ...fs.readdirSync(source).map((name) => join(source, name)), '::')
  }
  return hashes(source)
}

/** All volumes in the partitions of one GPT disk. @returns what each partition holds, by its number. */
export function makeDisk(path: string, scratch: string): Map<number, Map<string, string>> {
  const contents = new Map<number, Map<string, string>>()
  const total = volumes.reduce((sum, { size }) => sum + size, 2)
  emptyFile(path, total * mebibyte)
  const table = spawnSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], {
    input: ['label: gpt', ...volumes.map(({ size }) => `size=${size}MiB`)].join('\n'),
    encoding: 'utf8',
  })
  if (table.status !== 0) throw new Error(`sfdisk: ${table.stderr}`)
  let start = 1
  for (const [index, { type, size }] of volumes.entries()) {
    const volume = join(scratch, `volume-${type}`)
    contents.set(index + 1, makeVolume(type, size, volume, scratch))
    run('dd', `if=${volume}`, `of=${path}`, 'bs=1M', `seek=${start}`, 'conv=notrunc,sparse', 'status=none')
    start += size
  }
  return contents
}
