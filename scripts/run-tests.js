// Runs the compiled tests with Node's own test runner: all of them, or the folders of test/ named on the command line.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folders = process.argv.length > 2 ? process.argv.slice(2) : ['.']
const files = folders.flatMap((folder) => {
  const sources = join(root, 'test', folder)
  if (!existsSync(sources)) throw new Error(`no such test folder: ${sources}`)
  // The list comes from the sources, so that a stale compiled test is never run.
  return readdirSync(sources, { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(root, 'dist', 'test', folder, name.replace(/\.ts$/, '.js')))
})
if (files.length === 0) throw new Error('no tests found')
const run = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...files.sort()], { stdio: 'inherit', cwd: root })
process.exit(run.status ?? 1)
