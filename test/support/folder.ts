import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** A folder of the test's own, gone when the test is. Its path is the real one. */
export function testFolder(t: TestContext): string {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vdisk-test-')))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}
