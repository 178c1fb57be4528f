import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Input } from '../../src/codec/stream/input.js'
import { streamCodecFor } from '../../src/codec/stream/index.js'
import { nodeEngine, zlibSyncEngine } from '../../src/codec/stream/inflate.js'
import { decodeGzip } from '../../src/codec/stream/gzip.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { hash } from '../../src/operations/inspect/hash.js'
import { info } from '../../src/operations/inspect/info.js'
import { diskLike } from '../support/content.js'
import { blockInflate } from '../../src/sys/libz.js'
import { by } from '../support/compress.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

const mebibyte = 1024 * 1024
const disk = Buffer.concat([diskLike(3 * mebibyte + 512, 1), Buffer.alloc(2 * mebibyte), diskLike(mebibyte, 2)])
const half = disk.subarray(0, mebibyte + 17 * 512)

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

interface Kind {
  readonly name: string
  readonly tools: readonly string[]
  readonly make: () => Buffer
  readonly content?: Uint8Array
  readonly access: string
}

const unpacked = 'unpacked into a scratch file'
const checkpoints = blockInflate() === undefined ? unpacked : 'at any place, from checkpoints in the stream'
const blocks = 'at any place, by its blocks'
const kinds: readonly Kind[] = [
  { name: 'gz', tools: ['gzip'], make: () => by('gzip', ['-nc'], disk), access: checkpoints },
  { name: 'named.gz', tools: ['gzip'], make: () => by('gzip', ['-1c'], disk), access: checkpoints },
  {
    name: 'members.gz',
    tools: ['gzip'],
    make: () =>
      Buffer.concat([by('gzip', ['-c'], half), by('gzip', ['-c'], Buffer.alloc(0)), by('gzip', ['-1c'], half)]),
    content: Buffer.concat([half, half]),
    access: checkpoints,
  },
  {
    name: 'padded.gz',
    tools: ['gzip'],
    make: () => Buffer.concat([by('gzip', ['-c'], disk), Buffer.alloc(10240)]),
    access: checkpoints,
  },
  { name: 'bgzf.gz', tools: ['gzip'], make: () => bgzf(disk), access: blocks },
  { name: 'bz2', tools: ['bzip2'], make: () => by('bzip2', ['-c'], disk), access: blocks },
  {
    name: 'streams.bz2',
    tools: ['bzip2'],
    make: () =>
      Buffer.concat([by('bzip2', ['-1c'], half), by('bzip2', ['-c'], Buffer.alloc(0)), by('bzip2', ['-9c'], half)]),
    content: Buffer.concat([half, half]),
    access: blocks,
  },
  // One block, larger than those that are decoded for a single read.
  { name: 'xz', tools: ['xz'], make: () => by('xz', ['-c', '-T1'], disk), access: unpacked },
  {
    name: 'blocks.xz',
    tools: ['xz'],
    make: () => by('xz', ['-c', '--block-size=700000', '-C', 'sha256'], disk),
    access: blocks,
  },
  {
    name: 'streams.xz',
    tools: ['xz'],
    make: () =>
      Buffer.concat([
        by('xz', ['-0c', '-C', 'crc32'], half),
        Buffer.alloc(8),
        by('xz', ['-9c', '-C', 'crc32'], half),
        Buffer.alloc(4),
      ]),
    content: Buffer.concat([half, half]),
    access: blocks,
  },
  {
    name: 'checks.xz',
    tools: ['xz'],
    make: () => Buffer.concat([by('xz', ['-0c', '-C', 'none'], half), by('xz', ['-0c', '-C', 'crc64'], half)]),
    content: Buffer.concat([half, half]),
    access: unpacked,
  },
  { name: 'lzma', tools: ['xz'], make: () => by('xz', ['--format=lzma', '-c'], disk), access: unpacked },
  { name: 'zst', tools: ['zstd'], make: () => by('zstd', ['-qc'], disk), access: unpacked },
  {
    name: 'long.zst',
    tools: ['zstd'],
    make: () => by('zstd', ['-qc', '-19', '--long=27', '--no-check'], disk),
    access: unpacked,
  },
  {
    name: 'frames.zst',
    tools: ['zstd'],
    make: () => Buffer.concat([half, half].map((part) => by('zstd', ['-qc', `--stream-size=${part.length}`], part))),
    content: Buffer.concat([half, half]),
    access: blocks,
  },
  { name: 'lz4', tools: ['lz4'], make: () => by('lz4', ['-qc'], disk), access: unpacked },
  {
    name: 'linked.lz4',
    tools: ['lz4'],
    make: () => by('lz4', ['-qc', '-B4', '-BD', '-BX', '-9'], disk),
    access: unpacked,
  },
  { name: 'legacy.lz4', tools: ['lz4'], make: () => by('lz4', ['-qlc'], disk), access: unpacked },
  {
    name: 'frames.lz4',
    tools: ['lz4'],
    make: () => Buffer.concat([by('lz4', ['-qc'], half), by('lz4', ['-qc', '-B5'], half)]),
    content: Buffer.concat([half, half]),
    access: unpacked,
  },
]

/**
 * BGZF (SAM specification, 4.1), made by gzip: members of 64 KiB with their length in an extra field, an empty one
 * last.
 */
function bgzf(bytes: Uint8Array): Buffer {
  const members: Buffer[] = []
  for (let at = 0; ; at += 65280) {
    const plain = bytes.subarray(at, at + 65280)
    const member = by('gzip', ['-nc'], plain)
    const header = Buffer.from('1f8b08040000000000ff060042430200', 'hex')
    const size = Buffer.alloc(2)
    size.writeUInt16LE(member.length - 10 + header.length + 2 - 1)
    members.push(Buffer.concat([header, size, member.subarray(10)]))
    if (plain.length === 0) return Buffer.concat(members)
  }
}

for (const { name, tools, make, content = disk, access } of kinds) {
  test(`disk.raw.${name}: hash, convert and info see what is inside`, async (t) => {
    if (!tools.every((tool) => have(t, tool))) return
    const folder = testFolder(t)
    const path = join(folder, `disk.raw.${name}`)
    fs.writeFileSync(path, make())
    const reported = info(path)
    assert.equal(reported.capacity, content.length)
    assert.equal(reported.format, 'raw')
    const inside = reported.sections.find(({ title }) => title === 'Inside')
    assert.equal(inside?.facts.find((fact) => fact.name === 'access')?.value, access)
    assert.equal((await hash(path, { algorithm: 'sha256' })).digests[0]?.digest, sha256(content))
    await convert(path, join(folder, 'out.raw'), { verify: true })
    assert.equal(sha256(fs.readFileSync(join(folder, 'out.raw'))), sha256(content))
    assert.deepEqual(fs.readdirSync(folder).sort(), [`disk.raw.${name}`, 'out.raw'].sort())
  })
}

test(
  'zip: one member, stored or compressed; a disk among other files; several disks are refused with ' + 'their names',
  async (t) => {
    if (!have(t, 'zip')) return
    const folder = testFolder(t)
    fs.writeFileSync(join(folder, 'disk.img'), disk)
    fs.writeFileSync(join(folder, 'two.img'), half)
    fs.writeFileSync(join(folder, 'README'), 'words')
    const zip = (...args: string[]): void => void execFileSync('zip', ['-q', ...args], { cwd: folder })
    zip('one.zip', 'disk.img')
    zip('-0', 'stored.zip', 'disk.img')
    zip('among.zip', 'README', 'disk.img')
    zip('bzip2.zip', '-Z', 'bzip2', 'disk.img')
    zip('several.zip', 'disk.img', 'two.img')
    zip('-P', 'secret', 'locked.zip', 'disk.img')
    execFileSync('sh', ['-c', 'zip -q - - < disk.img > stream.zip'], { cwd: folder })
    for (const name of ['one', 'stored', 'among', 'bzip2', 'stream'])
      assert.equal(
        (await hash(join(folder, `${name}.zip`), { algorithm: 'sha256' })).digests[0]?.digest,
        sha256(disk),
        name,
      )
    await assert.rejects(hash(join(folder, 'several.zip'), { algorithm: 'sha256' }), {
      code: 'E_WHICH_MEMBER',
      message: /disk\.img, two\.img/,
    })
    await assert.rejects(hash(join(folder, 'locked.zip'), { algorithm: 'sha256' }), {
      code: 'E_ENCRYPTED',
      hint: /7z x/,
    })
    if (!have(t, '7z')) return
    execFileSync('7z', ['a', '-tzip', '-mm=Deflate64', 'sixty-four.zip', 'disk.img'], { cwd: folder, stdio: 'ignore' })
    await assert.rejects(hash(join(folder, 'sixty-four.zip'), { algorithm: 'sha256' }), {
      code: 'E_CODEC',
      message: /Deflate64/,
      hint: /7z x/,
    })
    execFileSync('7z', ['a', 'disk.7z', 'disk.img'], { cwd: folder, stdio: 'ignore' })
    await assert.rejects(hash(join(folder, 'disk.7z'), { algorithm: 'sha256' }), {
      code: 'E_UNSUPPORTED_FORMAT',
      message: /7z archive/,
      hint: /7z x/,
    })
  },
)

test('what is inside may be any image, and again compressed, three deep', async (t) => {
  if (!have(t, 'gzip') || !have(t, 'xz') || !have(t, 'zstd')) return
  const folder = testFolder(t)
  const at = (name: string): string => join(folder, name)
  fs.writeFileSync(at('disk.raw'), disk)
  for (const format of ['vhd', 'vhdx', 'qcow2']) {
    await convert(at('disk.raw'), at(`disk.${format}`), {})
    fs.writeFileSync(at(`disk.${format}.gz`), by('gzip', ['-c'], fs.readFileSync(at(`disk.${format}`))))
    const reported = info(at(`disk.${format}.gz`))
    assert.equal(reported.format, format)
    await convert(at(`disk.${format}.gz`), at('out.raw'), { force: true })
    assert.equal(sha256(fs.readFileSync(at('out.raw')).subarray(0, disk.length)), sha256(disk), format)
  }
  let bytes: Buffer = fs.readFileSync(at('disk.raw'))
  for (const [program, name] of [
    ['gzip', 'gz'],
    ['xz', 'xz'],
    ['zstd', 'zst'],
    ['gzip', 'gz'],
  ] as const) {
    bytes = by(program, ['-c'], bytes)
    fs.writeFileSync(at(`deep.${name}`), bytes)
    if (name === 'zst')
      assert.equal((await hash(at('deep.zst'), { algorithm: 'sha256' })).digests[0]?.digest, sha256(disk))
  }
  await assert.rejects(hash(at('deep.gz'), { algorithm: 'sha256' }), { code: 'E_TOO_DEEP' })
})

/** Bytes in memory as a stream. */
async function decoded(codec: string, bytes: Uint8Array): Promise<Buffer> {
  const input = new Input('memory', (at, to) => to.set(bytes.subarray(at, at + to.length)), 0, bytes.length)
  const pieces: Buffer[] = []
  for await (const piece of streamCodecFor(codec).decode(input)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

const families: readonly {
  readonly codec: string
  readonly tool: string
  readonly args: readonly string[]
  readonly weak?: boolean
}[] = [
  { codec: 'gzip', tool: 'gzip', args: ['-nc'] },
  { codec: 'bzip2', tool: 'bzip2', args: ['-c'] },
  { codec: 'xz', tool: 'xz', args: ['-c'] },
  { codec: 'xz', tool: 'xz', args: ['-c', '-C', 'crc32', '--block-size=40000'] },
  // The old format has no checksum: damage may give other bytes, and never more or fewer than it says.
  { codec: 'lzma', tool: 'xz', args: ['--format=lzma', '-c'], weak: true },
  { codec: 'zstd', tool: 'zstd', args: ['-qc'] },
  { codec: 'lz4', tool: 'lz4', args: ['-qc'] },
]

for (const { codec, tool, args, weak = false } of families) {
  test(
    `${tool} ${args.join(' ')}: cut anywhere or changed anywhere, it never gives other bytes without ` + `an error`,
    async (t: TestContext) => {
      if (!have(t, tool)) return
      const plain = diskLike(100_000, 9)
      const whole = by(tool, args, plain)
      assert.equal(Buffer.compare(await decoded(codec, whole), plain), 0)
      let cases = 0
      const fails = async (bytes: Uint8Array, what: string, mayBeRight: boolean): Promise<void> => {
        cases++
        try {
          const found = await decoded(codec, bytes)
          if (!mayBeRight || (Buffer.compare(found, plain) !== 0 && !weak))
            assert.fail(`${what}: ${found.length} bytes, no error`)
        } catch (error) {
          const { code } = error as { code?: string }
          assert.ok(
            ['E_COMPRESSED', 'E_TRUNCATED', 'E_TRAILING_DATA', 'E_CODEC'].includes(code ?? ''),
            `${what}: ${String(error)}`,
          )
        }
      }
      for (let index = 0; index < 30; index++) {
        const length = Math.floor((whole.length * index) / 30)
        await fails(whole.subarray(0, length), `cut at ${length}`, false)
      }
      for (let back = 1; back <= 12; back++)
        await fails(whole.subarray(0, whole.length - back), `cut ${back} before its end`, weak)
      for (let index = 0; index < 60; index++) {
        const at =
          index < 20 ? index : index < 40 ? whole.length - index + 19 : Math.floor((whole.length * (index - 40)) / 20)
        const changed = Buffer.from(whole)
        changed[at]! ^= 1 << (index % 8)
        await fails(changed, `bit ${index % 8} of byte ${at}`, true)
      }
      await fails(Buffer.concat([whole, Buffer.from('garbage')]), 'garbage behind it', false)
      await fails(Buffer.concat([whole, whole.subarray(0, 20)]), 'a cut stream behind it', false)
      await fails(Buffer.alloc(0), 'nothing', false)
      assert.ok(cases >= 40)
    },
  )
}

for (const engine of [zlibSyncEngine(), nodeEngine]) {
  test(
    `gzip by ${engine?.name ?? 'zlib-sync'}: the same answers`,
    { skip: engine === undefined ? 'zlib-sync is not installed' : false },
    async (t) => {
      if (engine === undefined || !have(t, 'gzip')) return
      const decode = async (bytes: Uint8Array): Promise<Buffer> => {
        const input = new Input('memory', (at, to) => to.set(bytes.subarray(at, at + to.length)), 0, bytes.length)
        const pieces: Buffer[] = []
        for await (const piece of decodeGzip(input, engine)) pieces.push(Buffer.from(piece))
        return Buffer.concat(pieces)
      }
      const zeros = Buffer.alloc(5 * mebibyte)
      const member = (bytes: Uint8Array, level = '-6'): Buffer => by('gzip', ['-nc', level], bytes)
      const empty = member(Buffer.alloc(0))
      // Members around every length of a slice, so that ends and trailers lie on both sides of its border.
      for (const length of [0, 1, 16_000, 16_360, 16_370, 16_384, 16_400, 40_000]) {
        const noise = createHash('shake256', { outputLength: length + 1 })
          .update('noise')
          .digest()
          .subarray(0, length)
        const bytes = Buffer.concat([member(noise), empty, empty, member(zeros, '-9'), member(noise, '-1'), empty])
        assert.equal(Buffer.compare(await decode(bytes), Buffer.concat([noise, zeros, noise])), 0, `${length}`)
        const wrong = Buffer.from(member(noise))
        wrong[wrong.length - 8]! ^= 1
        await assert.rejects(decode(wrong), { code: 'E_COMPRESSED', message: /CRC-32/ })
        const long = Buffer.from(member(noise))
        long[long.length - 1]! ^= 1
        await assert.rejects(decode(long), { code: 'E_COMPRESSED', message: /records a content/ })
      }
      await assert.rejects(decode(Buffer.concat([empty, Buffer.from('x')])), { code: 'E_TRAILING_DATA' })
      await assert.rejects(decode(member(disk).subarray(0, 100_000)), { code: 'E_TRUNCATED' })
      for (const [at, value] of [
        [2, 7],
        [3, 0x20],
        [3, 0xe0],
      ] as const) {
        const changed = Buffer.from(empty)
        changed[at] = value
        await assert.rejects(decode(changed), { code: 'E_COMPRESSED' })
      }
    },
  )
}
