import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vdisk } from '../support/cli.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { faultServer, type Fault } from '../support/fault-server.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

/** Compressed disks of a web server are decoded while they arrive: there is no scratch file, and they come once. */

const mebibyte = 1048576
const disk = Buffer.concat([diskLike(9 * mebibyte + 512, 41), Buffer.alloc(4 * mebibyte), diskLike(5 * mebibyte, 42)])

const streams = [
  ['gzip', ['-1c'], 'gz'],
  ['zstd', ['-qc'], 'zst'],
  ['zstd', ['-qc', `--stream-size=${disk.length}`], 'zst'],
  ['lz4', ['-qc'], 'lz4'],
  ['bzip2', ['-1c'], 'bz2'],
  // It says how large its content is.
  ['xz', ['-0c'], 'xz'],
] as const

const withoutScratch = { TMPDIR: '/nonexistent' }

for (const [tool, args, extension] of streams)
  test(`${[tool, ...args].join(' ')}: into a raw file, without a scratch file`, async (t) => {
    if (!have(t, tool)) return
    const cwd = testFolder(t)
    const stored = by(tool, args, disk)
    const { url, served } = await faultServer(t, () => stored)
    const { code, stdout, stderr } = await vdisk(['convert', `${url}/disk.raw.${extension}`, 'out.raw', '--json'], {
      cwd,
      env: withoutScratch,
    })
    assert.equal(code, 0, stderr)
    const { source } = JSON.parse(stdout.toString()) as { source: { access: string } }
    assert.equal(source.access, 'stream')
    assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
    const bytes = served.reduce((sum, one) => sum + one.bytes, 0)
    assert.ok(bytes <= stored.length * 1.01, `${bytes} of ${stored.length} bytes`)
    assert.deepEqual(fs.readdirSync(cwd), ['out.raw'])
  })

test('any other target takes the content from a scratch file, and the stream comes once', async (t) => {
  if (!have(t, 'gzip')) return
  const cwd = testFolder(t)
  const stored = by('gzip', ['-1c'], disk)
  const { url, served } = await faultServer(t, () => stored)
  const { code, stderr } = await vdisk(['convert', `${url}/disk.raw.gz`, 'out.qcow2', '--verify'], { cwd })
  assert.equal(code, 0, stderr)
  const bytes = served.reduce((sum, one) => sum + one.bytes, 0)
  assert.ok(bytes <= stored.length * 1.01, `${bytes} of ${stored.length} bytes`)
  const hash = await vdisk(['convert', 'out.qcow2', 'out.raw'], { cwd })
  assert.equal(hash.code, 0, hash.stderr)
  assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
})

test('a disk in a tar on a web server is fetched, not waited for piece by piece', async (t) => {
  if (!have(t, 'tar')) return
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const stored = by('tar', ['-C', cwd, '-cf', '-', 'disk.raw'], Buffer.alloc(0))
  const { url, served } = await faultServer(t, () => stored)
  const { code, stderr } = await vdisk(['convert', `${url}/disk.tar`, 'out.raw'], { cwd, env: withoutScratch })
  assert.equal(code, 0, stderr)
  assert.ok(fs.readFileSync(join(cwd, 'out.raw')).equals(disk))
  const bytes = served.reduce((sum, one) => sum + one.bytes, 0)
  assert.ok(bytes <= stored.length * 1.01, `${bytes} of ${stored.length} bytes`)
})

/** What goes wrong behind the first answers, when the content is being decoded. */
const faults: Readonly<Record<string, readonly [fault: Fault, exitCode: number, message: RegExp]>> = {
  changed: [
    (_request, response, count) => {
      if (count > 2) response.setHeader('ETag', '"two"')
      return undefined
    },
    4,
    /has changed on its server/,
  ],
  gone: [
    (_request, response, count) => {
      if (count <= 2) return undefined
      response.writeHead(404).end()
      return true
    },
    2,
    /404/,
  ],
}

for (const [name, [fault, exitCode, message]] of Object.entries(faults))
  test(`${name} while it is decoded: the error says so, and nothing is left`, async (t) => {
    if (!have(t, 'gzip')) return
    const cwd = testFolder(t)
    const stored = by('gzip', ['-1c'], disk)
    const { url } = await faultServer(t, () => stored, { [name]: fault })
    const { code, stderr } = await vdisk(['convert', `${url}/${name}/disk.raw.gz`, 'out.raw'], { cwd })
    assert.equal(code, exitCode, stderr)
    assert.match(stderr, message)
    assert.deepEqual(fs.readdirSync(cwd), [])
  })
