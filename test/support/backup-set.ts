import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openFile } from '../../src/formats/open.js'
import { initSet } from '../../src/operations/backup/init.js'
import { listSet } from '../../src/operations/backup/list.js'
import { runSet, type RunSetOptions, type RunSetResult } from '../../src/operations/backup/run.js'
import { diskLike, readAll } from './content.js'
import { farFolder } from './far-folder.js'
import { testFolder } from './folder.js'
import { loopDevice } from './loop.js'

const size = 6 * 1048576

export interface SetOfPoints {
  readonly folder: string
  readonly loop: string
  /** The disk at each point, by its time. */
  readonly states: Map<string, Buffer>
  /** Makes the next point, after the disk changed; of another folder where the set was moved. */
  readonly run: (options?: RunSetOptions, set?: string) => Promise<RunSetResult>
}

/** A set with some points, of a disk that changes before each. */
export async function setOf(t: TestContext, format: string, count: number): Promise<SetOfPoints> {
  const path = join(testFolder(t), 'disk')
  const folder = join(farFolder(t), 'set')
  const content = Buffer.alloc(size)
  fs.writeFileSync(path, content)
  const loop = loopDevice(t, path)
  await initSet(folder, loop, { format })
  const states = new Map<string, Buffer>()
  let generation = 0
  const run = async (options: RunSetOptions = {}, set = folder): Promise<RunSetResult> => {
    generation++
    Buffer.from(diskLike(700_000, generation)).copy(content, 1048576 * (generation % 4))
    content.fill(0, 5 * 1048576 - generation * 65536, 5 * 1048576)
    content.fill(generation, size - 100_000)
    fs.writeFileSync(path, content)
    const result = await runSet(set, { threads: 0, now: new Date(Date.UTC(2026, 0, generation)), ...options })
    states.set(/(.{18})\.[a-z0-9]+$/.exec(result.image.target.path)?.[1] ?? '', Buffer.from(content))
    return result
  }
  for (let index = 0; index < count; index++) await run()
  return { folder, loop, states, run }
}

/** Every one of the points is there, and reads as the disk did. */
export function assertPoints(
  folder: string,
  states: Map<string, Buffer>,
  wanted: readonly string[],
  when: string,
): void {
  const { points } = listSet(folder)
  for (const time of wanted) {
    const point = points.find((one) => one.time === time)
    assert.ok(point !== undefined, `${when}: ${time} is listed`)
    using image = openFile(join(folder, point.image))
    assert.ok(Buffer.from(readAll(image)).equals(states.get(time)!), `${when}: ${time} is what it was`)
  }
}
