import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Takes a folder away; a process that was just ended may still write to it for a moment. */
export function removeFolder(folder: string): void {
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
}

/** A folder of the test's own, gone when the test is. Its path is the real one. */
export function testFolder(t: TestContext): string {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vdisk-test-')))
  t.after(() => removeFolder(folder))
  return folder
}
