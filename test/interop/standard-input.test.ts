import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { program } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'

/** Converts what a path of this computer gives as standard input. */
function convertInput(folder: string, path: string, ...more: string[]): { code: number | null; stderr: string } {
  const input = fs.openSync(path, 'r')
  try {
    const { status, stderr } = spawnSync(process.execPath, [program, 'convert', '-', 'out.raw', ...more], {
      cwd: folder,
      stdio: [input, 'pipe', 'pipe'],
      encoding: 'utf8',
    })
    return { code: status, stderr }
  } finally {
    fs.closeSync(input)
  }
}

function medium(t: TestContext, length = 3 * 1048576 + 512): { folder: string; path: string; bytes: Buffer } {
  const folder = testFolder(t)
  const path = join(testFolder(t), 'medium')
  const bytes = Buffer.from(diskLike(length, 3))
  fs.writeFileSync(path, bytes)
  return { folder, path, bytes }
}

test('a disk as standard input is read whole', { skip: loopsMissing() ?? false }, (t) => {
  const { folder, path, bytes } = medium(t)
  assert.deepEqual(convertInput(folder, loopDevice(t, path), '--from', 'raw'), { code: 0, stderr: '' })
  assert.ok(fs.readFileSync(join(folder, 'out.raw')).equals(bytes))
})

test(
  'a disk as standard input that cannot be read leaves no target',
  { skip: faultyDiskMissing() ?? false },
  async (t) => {
    const { folder, path } = medium(t)
    const disk = await faultyDisk(t, path, { read: [[2097152, 4096]] })
    const { code, stderr } = convertInput(folder, disk.path, '--from', 'raw')
    assert.equal(code, 4, stderr)
    assert.match(stderr, /standard input: cannot be read at byte \d+: EIO/)
    assert.deepEqual(fs.readdirSync(folder), [])
  },
)

test('what is wrong with standard input is said of standard input', (t) => {
  const { folder, path } = medium(t, 1536)
  const cases = [
    [folder, [], 2, /standard input is a directory/],
    ['/dev/null', [], 4, /standard input is empty/],
    [path, ['--from', 'qcow2'], 4, /standard input/],
  ] as const
  for (const [from, flags, expected, message] of cases) {
    const { code, stderr } = convertInput(folder, from, ...flags)
    assert.equal(code, expected, stderr)
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /scratch/)
  }
  assert.deepEqual(fs.readdirSync(folder), [])
})
