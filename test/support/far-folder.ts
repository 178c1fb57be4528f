import { existsSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { skipReason } from './complete.js'
import { removeFolder } from './folder.js'

const memory = '/dev/shm'

/** Why there is no folder in memory; undefined when there is one. */
export function farFolderMissing(): string | undefined {
  const missing = existsSync(memory) ? undefined : `there is no ${memory}`
  return skipReason(missing)
}

/**
 * A folder in memory: it lies on no disk, so that images of loop devices over files elsewhere are not on the disk they
 * are made of. Gone after the test.
 */
export function farFolder(t: TestContext): string {
  const folder = mkdtempSync(join(memory, 'vdisk-test-'))
  t.after(() => removeFolder(folder))
  return folder
}
