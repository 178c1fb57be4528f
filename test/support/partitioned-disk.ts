import fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { diskLike } from './content.js'
import { loopDevice } from './loop.js'
import { run } from './tools.js'

/** A disk in a file, with a loop device over it. Starts and lengths are those of its partitions, in bytes. */
export interface PartitionedDisk {
  readonly loop: string
  readonly path: string
  readonly content: Buffer
  readonly start: readonly number[]
  readonly length: readonly number[]
}

/**
 * A disk of 24 MiB and some sectors with two partitions, the second one not at a whole mebibyte, and an ext4 with files
 * in the first.
 */
export function partitionedDisk(t: TestContext, folder: string, sectorSize: 512 | 4096): PartitionedDisk {
  const path = join(folder, `disk-${sectorSize}`)
  const size = 24 * 1048576 + 3 * 4096
  fs.writeFileSync(path, new Uint8Array(size))
  const [start, length] = [
    [1048576, 13 * 1048576 + 8192],
    [12 * 1048576, 4 * 1048576 + 4096],
  ]
  const script = start
    .map((at, index) => `start=${at / sectorSize},size=${length[index]! / sectorSize},name=part${index + 1}`)
    .join('\n')
  fs.writeFileSync(join(folder, 'script'), `label: gpt\n${script}\n`)
  // sfdisk takes the sector size from a device only.
  const loop = loopDevice(t, path, sectorSize)
  run('sh', '-c', `sfdisk --quiet --no-reread --no-tell-kernel ${loop} < ${join(folder, 'script')}`)
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-E', `offset=${start[0]}`, path, '12M')
  const content = fs.readFileSync(path)
  Buffer.from(diskLike(length[1]!, 5)).copy(content, start[1])
  fs.writeFileSync(path, content)
  return { loop, path, content, start, length }
}
