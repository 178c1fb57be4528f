import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { root } from '../support/cli.js'
import { allTestsMustRun, skipReason } from '../support/complete.js'
import { isInstalled } from '../support/tools.js'

/** What scripts/try-tutorials.js prints. */
interface Tried {
  readonly packed: { readonly size: number; readonly files: number }
  readonly rows: readonly {
    readonly name: string
    readonly lines: number
    readonly packages: number
    readonly installedBytes: number
    readonly guesses: readonly { readonly command: string; readonly stdout: string; readonly stderr: string }[]
  }[]
}

/** A little over what docs/installing.md says. A change that exceeds one has to argue for it there. */
const limits = { packedBytes: 1_780_000, packedFiles: 800, packages: 66, installedMiB: 30 }

/** VDISK_TUTORIALS=1: this Node and this user; VDISK_TUTORIALS=all: all of them. */
const wanted = process.env['VDISK_TUTORIALS']
const all = wanted === 'all' ? ['--node', '20,22,24', '--user', 'root,65534'] : []
const title = 'from npm pack to the last line of each tutorial, and the size of what is installed'

// It asks a registry, which need not be there after npm ci: it is no part of all tests.
if (wanted !== undefined)
  test(title, { skip: skipReason(isInstalled('npm') ? undefined : 'npm is not installed') }, fromNothing)
else if (!allTestsMustRun) test(title, { skip: 'it asks the registry of npm: VDISK_TUTORIALS=1 runs it' })

function fromNothing(t: TestContext): void {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'scripts/try-tutorials.js'), '--json', ...all],
    { cwd: root, encoding: 'utf8' },
  )
  if (/npm install: [^]*(?:ENOTFOUND|ENOTCACHED|EAI_AGAIN|ECONNREFUSED)/.test(stderr)) {
    t.skip(skipReason('the registry cannot be reached'))
    return
  }
  assert.ok(status === 0 || stdout !== '', stderr)
  const { packed, rows } = JSON.parse(stdout) as Tried
  assert.deepEqual(
    rows.flatMap(({ name, guesses }) => guesses.map((guess) => ({ name, ...guess }))),
    [],
  )
  assert.ok(rows.filter(({ lines }) => lines >= 7).length >= 2, 'pages were typed')
  const [first] = rows
  assert.ok(first !== undefined)
  t.diagnostic(`packed ${packed.size} bytes, ${packed.files} files; installed ${first.installedBytes} bytes`)
  assert.ok(packed.size <= limits.packedBytes, `packed: ${packed.size} bytes`)
  assert.ok(packed.files <= limits.packedFiles, `packed: ${packed.files} files`)
  assert.ok(first.packages <= limits.packages, `installed: ${first.packages} packages`)
  assert.ok(first.installedBytes <= limits.installedMiB * 1048576, `installed: ${first.installedBytes} bytes`)
}
