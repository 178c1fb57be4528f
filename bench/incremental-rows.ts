import { execFileSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import type { Mounted } from './device-rows.js'
import { at, dataSize, program, vdisk, type Row } from './row.js'

/** Blocks whose digests are compared; docs/incremental.md. */
const block = 262144

/**
 * An image of what has changed since another, 1 %, against a whole one: disk and images lie on one medium, and all of
 * the disk is in use. As root only.
 */
export function incrementalRows({ disk }: Mounted): Row[] {
  const image = (name: string, ...more: string[]): string[] => {
    return ['image', disk, at(name), '--allow-same-disk', '--force', ...more]
  }
  const base = image('before.qcow2')
  execFileSync(process.execPath, [program, ...base], { stdio: 'ignore' })
  changeOnePercent(disk)
  return [
    {
      name: 'incremental image, 1 % changed, against a whole one',
      goal: 0.5,
      ours: vdisk(...image('child.qcow2', '--since', at('before.qcow2'))),
      peers: [vdisk(...image('whole.qcow2'))],
      peersAreNode: true,
    },
  ]
}

function changeOnePercent(device: string): void {
  const file = fs.openSync(device, 'r+')
  const bytes = randomFillSync(Buffer.alloc(block))
  for (let offset = 0; offset < dataSize; offset += 100 * block) fs.writeSync(file, bytes, 0, block, offset)
  fs.fsyncSync(file)
  fs.closeSync(file)
}
