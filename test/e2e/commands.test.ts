import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join, sep } from 'node:path'
import test from 'node:test'
import { installPlugin, makePlugin, root, vdisk, type CliResult } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { assertSchema } from '../support/schemas.js'
import { writeToy } from '../support/toy-format.js'

const disk = diskLike(3 * 1048576, 9)

function json(result: CliResult): Record<string, unknown> {
  return JSON.parse(result.stdout.toString()) as Record<string, unknown>
}

test('convert, info, create and formats: text for people, documents for programs', async (t) => {
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  fs.writeFileSync(at('a.raw'), disk)
  const people = await vdisk(['convert', 'a.raw', 'b.qcow2', '--verify'], { cwd })
  assert.equal(people.code, 0, people.stderr)
  assert.match(people.stdout.toString(), /source +a\.raw[^]*target +b\.qcow2[^]*verified/)
  assert.doesNotMatch(people.stdout.toString(), /\u001b/)
  const program = await vdisk(['convert', 'b.qcow2', 'c.vhdx', '--json', '--verify'], { cwd })
  assert.equal(program.code, 0, program.stderr)
  assert.equal(program.stderr, '')
  assertSchema('convert', json(program))
  const created = await vdisk(['create', 'child.vhdx', '--parent', 'c.vhdx', '--json'], { cwd })
  assert.equal(created.code, 0, created.stderr)
  assertSchema('create', json(created))
  for (const flags of [[], ['--headers']]) {
    const info = await vdisk(['info', 'a.raw', 'b.qcow2', 'c.vhdx', 'child.vhdx', '--json', ...flags], { cwd })
    assert.equal(info.code, 0, info.stderr)
    const document = json(info) as { images: { format: string; chain: { path: string }[] }[] }
    assertSchema('info', document)
    assert.deepEqual(
      document.images.map(({ format }) => format),
      ['raw', 'qcow2', 'vhdx', 'vhdx'],
    )
    assert.deepEqual(
      document.images[3]!.chain.map(({ path }) => path),
      [at('c.vhdx')],
    )
  }
  const shown = await vdisk(['info', 'child.vhdx', '--headers'], { cwd })
  assert.match(shown.stdout.toString(), /Parent found +\S*c\.vhdx[^]*position +length +field +value\n/)
  const formats = await vdisk(['formats', '--json'], { cwd })
  assertSchema('formats', json(formats))
  assert.match((await vdisk(['formats', '--verbose'], { cwd })).stdout.toString(), /^qcow2 .*^raw .*^vhdx /ms)
  assert.match((await vdisk(['formats', 'qcow2'], { cwd })).stdout.toString(), /cluster-size +size/)
  await vdisk(['convert', 'child.vhdx', 'd.raw'], { cwd })
  assert.equal(sha256(fs.readFileSync(at('d.raw'))), sha256(disk))
})

test('every kind of failure has its exit code, a message, and a document', async (t) => {
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  const toys = installPlugin(cwd, makePlugin(cwd, 'toys', 'return [toy]'))
  fs.writeFileSync(at('a.raw'), disk)
  fs.writeFileSync(at('old.qcow2'), 'old')
  fs.writeFileSync(at('x.aff'), Buffer.concat([Buffer.from('AFF10\r\n\0', 'latin1'), Buffer.alloc(70000)]))
  await vdisk(['convert', 'a.raw', 'cut.qcow2'], { cwd })
  fs.truncateSync(at('cut.qcow2'), Math.floor(fs.statSync(at('cut.qcow2')).size / 2))
  await vdisk(['convert', 'a.raw', 'base.vhdx'], { cwd })
  await vdisk(['create', 'child.vhdx', '--parent', 'base.vhdx'], { cwd })
  fs.renameSync(at('base.vhdx'), at('moved.vhdx'))
  writeToy(at('up.toy'), { parent: { paths: ['../../etc/passwd'], format: 'raw' } })
  const before = fs.readdirSync(cwd).sort()

  const cases: [number, string, RegExp, string[]][] = [
    [2, 'E_USAGE', /SOURCE|source/, ['convert']],
    [2, 'E_USAGE', /nope/, ['convert', 'a.raw', 'b.raw', '--nope']],
    [2, 'E_SIZE', /1\.5X/, ['convert', 'a.raw', 'b.raw', '--size', '1.5X']],
    [2, 'E_USAGE', /progress/, ['convert', 'a.raw', 'b.raw', '--progress', 'loud']],
    [2, 'E_NOT_FOUND', /missing\.raw/, ['convert', 'missing.raw', 'b.raw']],
    [2, 'E_UNKNOWN_FORMAT', /xyz/, ['convert', 'a.raw', 'b.raw', '--to', 'xyz']],
    [2, 'E_UNKNOWN_OPTION', /cluster-size/, ['convert', 'a.raw', 'b.vhdx', '--cluster-size', '64K']],
    [2, 'E_OPTION', /NAME=VALUE/, ['convert', 'a.raw', 'b.vhdx', '-o', 'x']],
    [3, 'E_SAME_FILE', /a\.raw/, ['convert', 'a.raw', 'a.raw', '--force']],
    [4, 'E_TRUNCATED', /cut\.qcow2/, ['convert', 'cut.qcow2', 'b.raw']],
    [5, 'E_UNSUPPORTED_FORMAT', /AFF/, ['convert', 'x.aff', 'b.raw']],
    [6, 'E_PARENT_MISSING', /base\.vhdx/, ['convert', 'child.vhdx', 'b.raw']],
    [6, 'E_REFERENCE_NOT_ALLOWED', /passwd/, ['convert', 'up.toy', 'b.raw']],
    [7, 'E_EXISTS', /old\.qcow2/, ['convert', 'a.raw', 'old.qcow2']],
    [7, 'E_NO_FOLDER', /no\/b\.raw/, ['convert', 'a.raw', 'no/b.raw']],
    [8, 'E_MISMATCH', /offset/, ['convert', 'a.raw', 'b.toy', '--verify', '-o', 'fault=lie']],
    [70, 'E_INTERNAL', /bug/, ['convert', 'a.raw', 'b.toy', '-o', 'fault=place']],
  ]
  for (const [code, id, text, args] of cases) {
    const env = { VDISK_DATA_DIR: toys }
    const people = await vdisk(args, { cwd, env })
    assert.equal(people.code, code, `${args.join(' ')}: ${people.stderr}`)
    assert.match(people.stderr, text)
    assert.match(people.stderr, /^Error: /)
    assert.doesNotMatch(people.stderr, /\n {4}at /, 'a stack is only for --debug')
    assert.equal(people.stdout.toString(), '')
    const program = await vdisk([...args, '--json'], { cwd, env })
    assert.equal(program.code, code)
    const document = json(program)
    assertSchema('error', document)
    assert.deepEqual([document['code'], document['exitCode']], [id, code], args.join(' '))
    assert.deepEqual(fs.readdirSync(cwd).sort(), before, args.join(' '))
  }
  assert.equal(fs.readFileSync(at('old.qcow2'), 'utf8'), 'old')
  const debug = await vdisk(['convert', 'a.raw', 'b.toy', '-o', 'fault=place', '--debug'], {
    cwd,
    env: { VDISK_DATA_DIR: toys },
  })
  assert.match(debug.stderr, /\n {4}at /)
  assert.equal((await vdisk(['bogus'], { cwd })).code, 2)
})

test('info of several images goes on after a bad one, and ends with the worst code', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  fs.writeFileSync(join(cwd, 'x.aff'), Buffer.concat([Buffer.from('AFF10\r\n\0', 'latin1'), Buffer.alloc(600)]))
  const people = await vdisk(['info', 'missing', 'x.aff', 'a.raw'], { cwd })
  assert.equal(people.code, 5)
  assert.match(people.stdout.toString(), /a\.raw: Raw/)
  assert.match(people.stderr, /missing[^]*AFF/)
  const program = await vdisk(['info', 'missing', 'x.aff', 'a.raw', '--json'], { cwd })
  assert.equal(program.code, 5)
  assertSchema('info', json(program))
})

test('check: a table for people, a document for programs, and the code of what was found', async (t) => {
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  fs.writeFileSync(at('a.raw'), disk)
  await vdisk(['convert', 'a.raw', 'base.vhd'], { cwd })
  await vdisk(['create', 'child.vhd', '--parent', 'base.vhd'], { cwd })
  const whole = await vdisk(['check', 'child.vhd', '--deep'], { cwd })
  assert.deepEqual([whole.code, whole.stderr], [0, ''])
  assert.match(whole.stdout.toString(), /^child\.vhd: .*: clean[^]*\n\S*base\.vhd: .*: clean/)
  const before = fs.readFileSync(at('base.vhd'))
  fs.truncateSync(at('base.vhd'), before.length - 512)
  const damaged = await vdisk(['check', 'base.vhd'], { cwd })
  assert.equal(damaged.code, 1, damaged.stderr)
  assert.match(
    damaged.stdout.toString(),
    new RegExp(
      String.raw`^base\.vhd: .*: 1 error\n {2}severity +code +position +structure +what is wrong\n` +
        String.raw` {2}error +E_FOOTER_COPY_USED +\d+ +footer +the footer should`,
    ),
  )
  const program = await vdisk(['check', 'base.vhd', '--json'], { cwd })
  assert.deepEqual([program.code, program.stderr], [1, ''])
  assertSchema('check', json(program))
  const lines = (await vdisk(['check', 'base.vhd', '--progress', 'json'], { cwd })).stderr
    .trim()
    .split('\n')
    .filter((line) => line !== '')
  for (const line of lines) assertSchema('progress', JSON.parse(line))
  fs.truncateSync(at('base.vhd'), 100)
  assert.equal((await vdisk(['check', 'base.vhd'], { cwd })).code, 4)
  fs.rmSync(at('base.vhd'))
  const alone = await vdisk(['check', 'child.vhd', '--json'], { cwd })
  assert.equal(alone.code, 6, alone.stderr)
  assertSchema('check', json(alone))
  const people = await vdisk(['check', 'child.vhd'], { cwd })
  assert.match(people.stdout.toString(), /: clean\n\nError: .*base\.vhd/)
  writeToy(at('b.toy'), { fill: [1] })
  const unknown = await vdisk(['check', 'b.toy', '--json'], {
    cwd,
    env: { VDISK_DATA_DIR: installPlugin(cwd, makePlugin(cwd, 'toys', 'return [toy]')) },
  })
  assert.equal(unknown.code, 5)
  assertSchema('check', json(unknown))
})

test('pipes: the image alone on standard output, everything else on standard error', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  const raw = await vdisk(['convert', 'a.raw', '-'], { cwd })
  assert.equal(raw.code, 0, raw.stderr)
  assert.equal(sha256(raw.stdout), sha256(disk))
  assert.match(raw.stderr, /target +standard output/)
  const qcow2 = await vdisk(['convert', '-', '-', '--to', 'qcow2'], { cwd, input: disk })
  assert.equal(qcow2.code, 0, qcow2.stderr)
  fs.writeFileSync(join(cwd, 'b.qcow2'), qcow2.stdout)
  const back = await vdisk(['convert', '-', 'c.raw'], { cwd, input: qcow2.stdout })
  assert.equal(back.code, 0, back.stderr)
  assert.equal(sha256(fs.readFileSync(join(cwd, 'c.raw'))), sha256(disk))
  assert.equal((await vdisk(['convert', 'a.raw', '-', '--json'], { cwd })).code, 2)
  assert.equal((await vdisk(['convert', '-', 'e.raw'], { cwd, input: new Uint8Array() })).code, 4, 'nothing came')
  assert.deepEqual(fs.readdirSync(cwd).sort(), ['a.raw', 'b.qcow2', 'c.raw'])
})

test('progress as JSON is one object a line, and whole only at the end', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'a.raw'), disk)
  const { stderr, code } = await vdisk(['convert', 'a.raw', 'b.qcow2', '--verify', '--progress', 'json', '--json'], {
    cwd,
  })
  assert.equal(code, 0)
  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { done: number; total: number; phase: string })
  for (const line of lines) assertSchema('progress', line)
  assert.deepEqual(
    lines.filter(({ done, total }) => done === total),
    [lines.at(-1)],
  )
  assert.equal(lines.at(-1)!.phase, 'flush')
})

test('the help of every command shows examples, and its manifest is fresh', async (t) => {
  const cwd = testFolder(t)
  const manifest = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    commands: Record<string, { summary?: string }>
  }
  const { Plugin } = await import('@oclif/core')
  const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true })
  await plugin.load()
  assert.deepEqual(manifest, JSON.parse(JSON.stringify(plugin.manifest)))
  const names = fs
    .readdirSync(join(root, 'src/commands'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.replace(/\.ts$/, '').split(sep).join(':'))
    .sort()
  assert.deepEqual(Object.keys(manifest.commands).sort(), names)
  for (const name of names) {
    const help = await vdisk([...name.split(':'), '--help'], { cwd })
    assert.equal(help.code, 0)
    assert.match(help.stdout.toString(), /USAGE[^]*DESCRIPTION[^]*EXAMPLES[^]*\$ vdisk /, name)
  }
  // What --help says exists is what --to and --from take.
  assert.match((await vdisk(['--help'], { cwd })).stdout.toString(), /convert +Convert/)
})

test('what an image says reaches the terminal only escaped', async (t) => {
  const cwd = testFolder(t)
  const toys = installPlugin(cwd, makePlugin(cwd, 'toys', 'return [toy]'))
  writeToy(join(cwd, 'c.toy'), { parent: { paths: ['\u001b]0;owned\u0007\u202e.raw'], format: '\u001b[31m' } })
  for (const args of [
    ['info', 'c.toy'],
    ['convert', 'c.toy', 'b.raw'],
    ['info', 'c.toy', '--json'],
  ]) {
    const { stdout, stderr } = await vdisk(args, { cwd, env: { VDISK_DATA_DIR: toys } })
    const text = stdout.toString() + stderr
    assert.ok(text.includes('owned'))
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f]/)
  }
})
