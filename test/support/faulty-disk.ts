import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { root } from './cli.js'
import { loopsMissing } from './loop.js'
import { skipReason } from './complete.js'

/** [start, length] in bytes. */
export type FaultRange = readonly [start: number, length: number]

/**
 * What goes wrong with a disk: requests that touch a range fail with EIO as a whole; `delay` (seconds) holds up every
 * request.
 */
export interface Faults {
  readonly read?: readonly FaultRange[]
  readonly write?: readonly FaultRange[]
  readonly delay?: number
}

export interface FaultyDisk {
  /** `/dev/loop3` */
  readonly path: string
  /** Takes the place of the faults before, at once. The page cache of the device is not asked: read past it. */
  setFaults(faults: Faults): void
}

/** Why such a disk cannot be had here; undefined when it can. */
export function faultyDiskMissing(): string | undefined {
  const missing = loopsMissing() ?? (existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse')
  return skipReason(missing)
}

/**
 * A loop device over the file `medium`, whose reads and writes fail where the test says so
 * (test/support/faulty-disk.py). What the medium
 * really holds can be read from, and changed in, the file. Gone after the test, and when the test's process ends.
 */
export async function faultyDisk(
  t: TestContext,
  medium: string,
  faults: Faults = {},
  sectorSize: 512 | 4096 = 512,
): Promise<FaultyDisk> {
  const folder = mkdtempSync(join(tmpdir(), 'vdisk-faulty-'))
  const [reported, point] = [join(folder, 'faults.json'), join(folder, 'disk')]
  const setFaults = (next: Faults): void => {
    // In one step: the other side never sees half of it.
    writeFileSync(`${reported}.new`, JSON.stringify(next))
    renameSync(`${reported}.new`, reported)
  }
  setFaults(faults)
  writeFileSync(point, '')
  const server = spawn(
    'python3',
    [join(root, 'test/support/faulty-disk.py'), medium, reported, point, String(sectorSize)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const ended = new Promise<void>((resolve) => server.on('close', () => resolve()))
  t.after(async () => {
    server.stdin.end()
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  const path = await new Promise<string>((resolve, reject) => {
    server.stdout.setEncoding('utf8').on('data', (text: string) => resolve(text.trim()))
    server.on('error', reject)
    server.on('close', (code) => reject(new Error(`the faulty disk ended with ${code ?? 'a signal'}`)))
  })
  return { path, setFaults }
}
