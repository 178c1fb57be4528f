import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { installPlugin, root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have, run } from '../support/tools.js'

const plugin = { name: 'vdisk-plugin-ihex', root: join(root, 'plugins/ihex') }

test('a plug-in with a format, a scheme and a command: Intel HEX, as objcopy writes it', async (t) => {
  if (!have(t, 'objcopy')) return
  const cwd = testFolder(t)
  const at = (name: string): string => join(cwd, name)
  const env = { VDISK_DATA_DIR: installPlugin(cwd, plugin) }
  const memory = Buffer.alloc(200_000, 0xff)
  for (let index = 0; index < 70_000; index++) memory[index] = index % 251
  memory.write('the end', 150_000)
  fs.writeFileSync(at('memory.bin'), memory)
  run('objcopy', '-I', 'binary', '-O', 'ihex', '--change-addresses', '0', at('memory.bin'), at('memory.hex'))
  const converted = await vdisk(['convert', 'memory.hex', 'memory.img', '--to', 'raw', '--verify'], { cwd, env })
  assert.equal(converted.code, 0, converted.stderr)
  const read = fs.readFileSync(at('memory.img'))
  assert.equal(read.length, 200_192)
  assert.ok(read.subarray(0, memory.length).equals(memory))
  assert.ok(read.subarray(memory.length).every((byte) => byte === 0xff))
  assert.match((await vdisk(['info', 'memory.hex'], { cwd, env })).stdout.toString(), /Intel HEX[^]*Records +/)
  const ranges = await vdisk(['ihex', 'ranges', 'memory.hex'], { cwd, env })
  assert.equal(ranges.stdout.toString(), '0x00000000 to 0x00030d3f  200000 bytes\n', ranges.stderr)
  // Two runs with a gap, as objcopy joins them.
  const gap = `:0400000001020304F2\n:020000040001F9\n:0400000005060708E2\n:00000001FF\n`
  fs.writeFileSync(at('gap.hex'), gap)
  const two = await vdisk(['ihex', 'ranges', 'gap.hex', '--json'], { cwd, env })
  assert.deepEqual((JSON.parse(two.stdout.toString()) as { ranges: unknown }).ranges, [
    { start: 0, end: 4 },
    { start: 65536, end: 65540 },
  ])
  run('objcopy', '-I', 'ihex', '-O', 'binary', '--gap-fill', '0xff', at('gap.hex'), at('gap.bin'))
  await vdisk(['convert', 'gap.hex', 'gap.img', '--to', 'raw'], { cwd, env })
  assert.ok(
    fs
      .readFileSync(at('gap.img'))
      .subarray(0, 65540)
      .equals(fs.readFileSync(at('gap.bin'))),
  )

  fs.writeFileSync(at('blank.bin'), Buffer.alloc(65536, 0xff))
  assert.equal((await vdisk(['compare', 'erased:64K', 'blank.bin', '--from', 'raw'], { cwd, env })).code, 0)
  assert.equal((await vdisk(['compare', 'erased:64K', 'gap.img'], { cwd, env })).code, 1)
  assert.equal((await vdisk(['info', 'erased:some'], { cwd, env })).code, 2)

  const help = await vdisk(['--help'], { cwd, env })
  assert.match(help.stdout.toString(), /ihex +Look into Intel HEX files/)
})

test('what is wrong with an Intel HEX file is an error with its place', async (t) => {
  const cwd = testFolder(t)
  const env = { VDISK_DATA_DIR: installPlugin(cwd, plugin) }
  const sound = ':0400000001020304F2\n:04000400010203 04EE\n'.replace(' ', '')
  const damaged: readonly (readonly [text: string, message: RegExp])[] = [
    [sound, /end record is missing/],
    [`${sound.replace('F2', 'F3')}:00000001FF\n`, /checksum of the record is wrong \(byte 0\)/],
    [`${sound}:00000001FF\n:0400000001020304F2\n`, /behind the end record/],
    [`${sound}garbage\n:00000001FF\n`, /no record/],
    [`${sound}:060000000102030400F0\n:00000001FF\n`, /5 bytes, and says 6/],
    [`${sound}:00000006FA\n:00000001FF\n`, /type 6/],
    [':020000040000FA\n:00000001FF\n', /fills nothing|fills anything/],
    [`${sound}:02000004FFFFFC\n:01FFFF0000FF\n`, /./],
  ]
  for (const [text, message] of damaged) {
    fs.writeFileSync(join(cwd, 'a.hex'), text)
    const { code, stderr } = await vdisk(['convert', 'a.hex', 'a.img', '--to', 'raw'], { cwd, env })
    assert.ok(code === 4 || code === 5, `${text}: ${code} ${stderr}`)
    assert.match(stderr, message)
    assert.ok(!fs.existsSync(join(cwd, 'a.img')))
  }
})
