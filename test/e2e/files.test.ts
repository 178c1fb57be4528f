import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { vdisk } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { run, runIn } from '../support/tools.js'
import { emptyFile, haveAll } from '../support/volumes.js'

const noise = diskLike(300_000, 5)

/** A FAT32 volume in a QCOW2 image. */
async function makeImage(cwd: string): Promise<void> {
  const at = (name: string): string => join(cwd, name)
  fs.mkdirSync(at('in/folder/below'), { recursive: true })
  fs.writeFileSync(at('in/Long name.txt'), 'hello\n')
  fs.writeFileSync(at('in/folder/noise'), noise)
  fs.writeFileSync(at('in/folder/below/empty'), '')
  const raw = emptyFile(at('disk.raw'), 40 * 1048576)
  run('mkfs.vfat', '-F', '32', '-s', '1', raw)
  runIn(at('in'), 'mcopy', '-s', '-Q', '-i', raw, ...fs.readdirSync(at('in')), '::')
  const converted = await vdisk(['convert', 'disk.raw', 'disk.qcow2'], { cwd })
  assert.equal(converted.code, 0, converted.stderr)
}

test('ls, cat and cp: files inside an image', async (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mcopy')) return
  const cwd = testFolder(t)
  await makeImage(cwd)
  const json = async (code: number, schema: string, ...args: string[]): Promise<Record<string, unknown>> => {
    const result = await vdisk([...args, '--json'], { cwd })
    assert.equal(result.code, code, result.stderr)
    const document = JSON.parse(result.stdout.toString()) as Record<string, unknown>
    assertSchema(schema, document)
    return document
  }

  assert.equal((await vdisk(['ls', 'disk.qcow2:/'], { cwd })).stdout.toString(), 'Long name.txt\nfolder/\n')
  assert.match(
    (await vdisk(['ls', 'disk.qcow2:/FOLDER', '-l'], { cwd })).stdout.toString(),
    /^d +0 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d below\/\n- 300000 \S+ \S+ noise\n$/,
  )
  const list = await json(0, 'ls', 'ls', 'disk.qcow2', '-R')
  assert.deepEqual((list['files'] as { path: string }[]).map(({ path }) => path).sort(), [
    '/Long name.txt',
    '/folder',
    '/folder/below',
    '/folder/below/empty',
    '/folder/noise',
  ])

  const cat = await vdisk(['cat', 'disk.qcow2:/folder/../folder/noise'], { cwd })
  assert.equal(sha256(cat.stdout), sha256(noise))
  assert.equal(cat.stderr, '')

  const copy = await vdisk(['cp', 'disk.qcow2:/long NAME.txt', 'out.txt'], { cwd })
  assert.equal(copy.code, 0, copy.stderr)
  assert.match(copy.stdout.toString(), /Copied 1 file to \S+out\.txt/)
  assert.equal(fs.readFileSync(join(cwd, 'out.txt'), 'utf8'), 'hello\n')
  const all = await json(0, 'cp', 'cp', '-r', 'disk.qcow2:/', 'all')
  assert.deepEqual([all['files'], all['folders'], all['failed']], [3, 3, 0])
  assert.equal(sha256(fs.readFileSync(join(cwd, 'all/folder/noise'))), sha256(noise))

  // Nothing is replaced without being asked for; folders are merged.
  fs.writeFileSync(join(cwd, 'all/folder/noise'), 'mine')
  const again = await json(9, 'cp', 'cp', '-r', 'disk.qcow2:/folder', 'all')
  assert.deepEqual(
    [
      again['failed'],
      (again['failures'] as { path: string; code: string }[]).map(({ path, code }) => `${path} ${code}`).sort(),
    ],
    [2, ['/folder/below/empty E_EXISTS', '/folder/noise E_EXISTS']],
  )
  assert.equal(fs.readFileSync(join(cwd, 'all/folder/noise'), 'utf8'), 'mine')
  await json(0, 'cp', 'cp', '-rf', 'disk.qcow2:/folder', 'all')
  assert.equal(sha256(fs.readFileSync(join(cwd, 'all/folder/noise'))), sha256(noise))

  const errors: readonly (readonly [number, string, string[]])[] = [
    [2, 'E_NOT_FOUND', ['ls', 'disk.qcow2:/nothing']],
    [2, 'E_IS_DIRECTORY', ['cp', 'disk.qcow2:/folder', 'x']],
    [2, 'E_NOT_A_DIRECTORY', ['ls', 'disk.qcow2:/folder/noise/x']],
    [2, 'E_FILE_ADDRESS', ['cp', 'disk.qcow2', 'x']],
    [2, 'E_NOT_FOUND', ['ls', 'missing.qcow2:/']],
    [2, 'E_STREAM', ['cat', 'disk.qcow2:/folder/noise']],
    [7, 'E_NO_FOLDER', ['cp', 'disk.qcow2:/folder/noise', 'no/where/x']],
    [7, 'E_EXISTS', ['cp', 'disk.qcow2:/folder/noise', 'out.txt']],
  ]
  const before = fs.readdirSync(cwd).sort()
  for (const [code, id, args] of errors) assert.equal((await json(code, 'error', ...args))['code'], id, args.join(' '))
  assert.equal((await vdisk(['cat', 'disk.qcow2:/folder'], { cwd })).code, 2)
  assert.deepEqual(fs.readdirSync(cwd).sort(), before)
})

test('ls, cat and cp look for a parent as other commands do', async (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mcopy')) return
  const cwd = testFolder(t)
  await makeImage(cwd)
  const made = await vdisk(['create', 'child.qcow2', '--parent', 'disk.qcow2'], { cwd })
  assert.equal(made.code, 0, made.stderr)
  fs.mkdirSync(join(cwd, 'elsewhere'))
  fs.renameSync(join(cwd, 'disk.qcow2'), join(cwd, 'elsewhere/disk.qcow2'))
  for (const [command, ...rest] of [['ls'], ['cat'], ['cp', 'copy.txt']]) {
    const file = 'child.qcow2:/Long name.txt'
    assert.equal((await vdisk([command ?? '', file, ...rest], { cwd })).code, 6)
    for (const flags of [
      ['--search', 'elsewhere'],
      ['--parent-map', 'disk.qcow2=elsewhere/disk.qcow2'],
    ]) {
      const found = await vdisk([command ?? '', file, ...rest, ...flags, ...(command === 'cp' ? ['-f'] : [])], { cwd })
      assert.equal(found.code, 0, found.stderr)
    }
  }
})
