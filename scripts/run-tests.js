// Runs the compiled tests with Node's own test runner: all of them, or the folders and tests of test/ that are named
// on the command line: unit/codec, e2e/hints.
// Where VDISK_ALL_TESTS is set a skipped test is a failure, and a warning of Node's own is one: a second reporter notes
// both.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.length > 2 ? process.argv.slice(2) : ['.']
const files = wanted.flatMap((name) => {
  const sources = join(root, 'test', name)
  if (existsSync(`${sources}.test.ts`)) return [join(root, 'dist', 'test', `${name}.test.js`)]
  if (!existsSync(sources)) throw new Error(`no such test or folder of tests: ${sources}`)
  // The list comes from the sources, so that a stale compiled test is never run.
  return readdirSync(sources, { recursive: true })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(root, 'dist', 'test', name, file.replace(/\.ts$/, '.js')))
})
if (files.length === 0) throw new Error('no tests found')
const bundled = spawnSync(process.execPath, [join(root, 'scripts/bundle.js'), '--stale'], { stdio: 'inherit' })
if (bundled.status !== 0) throw new Error('the bundle could not be made')
const notes = mkdtempSync(join(tmpdir(), 'vdisk-tests-'))
const skipped = join(notes, 'skipped')
const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout']
if (process.env.VDISK_ALL_TESTS !== undefined)
  reporters.push(
    `--test-reporter=${new URL('skipped-reporter.js', import.meta.url)}`,
    `--test-reporter-destination=${skipped}`,
  )
try {
  // Node itself would leave a processor free: with two of them everything would take twice as long. One more than there
  // are works while others wait for a disk or a server; more than four would fight over loop devices and memory.
  const run = spawnSync(
    process.execPath,
    ['--test', `--test-concurrency=${Math.min(4, availableParallelism() + 1)}`, ...reporters, ...files.sort()],
    { stdio: 'inherit', cwd: root, env: { ...process.env, VDISK_BUNDLED: '1' } },
  )
  process.exitCode = run.status ?? 1
  const names = existsSync(skipped) ? readFileSync(skipped, 'utf8') : ''
  if (process.exitCode === 0 && process.env.VDISK_ALL_TESTS !== undefined && !existsSync(skipped))
    throw new Error('nothing is known of skipped tests')
  if (names !== '') {
    process.stderr.write(`skipped or warned of, and VDISK_ALL_TESTS is set:\n${names}`)
    process.exitCode ||= 1
  }
} finally {
  rmSync(notes, { recursive: true, force: true })
}
