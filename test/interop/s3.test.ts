import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { convert, type ConvertOptions, type ConvertResult } from '../../src/operations/transfer/convert.js'
import { root } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { holding } from '../support/holding.js'
import { noS3, S3Cli, s3Registry } from '../support/s3-plugin.js'
import { noSwift, swift } from '../support/swift.js'
import { isInstalled, run } from '../support/tools.js'

const mebibyte = 1048576
const noQemu = isInstalled('qemu-img') ? undefined : skipReason('qemu-img is not installed')

test(
  's3: every format is read from a real server and written to it',
  { skip: noS3 ?? noSwift ?? noQemu },
  async (t) => {
    const cwd = testFolder(t)
    const server = await swift(t, testFolder(t))
    const env = { ...server.env, VDISK_S3_PART_MIB: '5' }
    const registry = await s3Registry(t, env)
    const disk = join(cwd, 'disk.raw')
    fs.writeFileSync(disk, diskLike(6 * mebibyte, 41))
    fs.truncateSync(disk, 8 * mebibyte)
    const address = (name: string): string => `s3://${server.bucket}/${name}`
    /** It is read back from the server, and compared with the source. */
    const converted = async (source: string, target: string, options: ConvertOptions = {}): Promise<ConvertResult> =>
      await convert(source, target, { registry, verify: true, ...options })

    for (const [name, format, options] of [
      ['a b+c/disk é.raw', 'raw'],
      ['disk.vhd', 'vpc'],
      ['fixed.vhd', 'vpc', { subformat: 'fixed' }],
      ['disk.vhdx', 'vhdx'],
      ['disk.qcow2', 'qcow2'],
      ['small.qcow2', 'qcow2', { compress: 'zlib' }],
      ['disk.vdi', 'vdi'],
      ['disk.vmdk', 'vmdk', { subformat: 'streamOptimized' }],
    ] as const) {
      await converted(disk, address(name), { options })
      // The image as other programs have it.
      const bytes = await server.get(encodeURI(name))
      assert.ok(bytes !== undefined, name)
      const file = join(cwd, `got.${format}`)
      fs.writeFileSync(file, bytes)
      run('qemu-img', 'compare', '-f', format, '-F', 'raw', file, disk)
      fs.rmSync(file)
    }
    for (const name of ['disk.ova', 'disk.raw.gz', 'disk.qcow2.zst']) await converted(disk, address(name))
    // From one object to another.
    await converted(address('disk.qcow2'), address('copy.vhdx'))
    // Swift knows no conditions on what is made by one request, and that is said.
    const tiny = join(cwd, 'tiny.raw')
    fs.writeFileSync(tiny, diskLike(mebibyte, 42))
    const { notes } = await converted(tiny, address('tiny.raw'))
    assert.deepEqual(
      notes.map(({ code }) => code),
      ['W_S3_NOT_EXCLUSIVE'],
    )

    const cli = new S3Cli(cwd, env)
    const ok = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await cli.run(args)
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
      return stdout.toString()
    }
    const exists = await cli.run(['convert', 'disk.raw', address('disk.vhd')])
    assert.equal(exists.code, 7)
    assert.match(exists.stderr, /exists already/)
    const same = await cli.run(['convert', address('disk.vhd'), address('disk.vhd'), '--force'])
    assert.equal(same.code, 3, same.stderr)
    await ok('convert', 'disk.raw', address('disk.vhd'), '--force')
    await ok('compare', address('disk.vhd'), 'disk.raw')
    const wrong = await cli.run(['info', address('disk.vhd')], { AWS_SECRET_ACCESS_KEY: 'wrong-secret-of-ours' })
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /SignatureDoesNotMatch[\s\S]*AWS_SECRET_ACCESS_KEY/)
    assert.doesNotMatch(wrong.stderr, /wrong-secret/)

    // A kill in the middle leaves no object, and the next run goes on with the part that the server has.
    const args = ['convert', 'disk.raw', address('killed.raw'), '--resume']
    const between = await holding(t, server.env['AWS_ENDPOINT_URL'] ?? '', 'partNumber=2&')
    const child = spawn(process.execPath, [join(root, 'bin/run.js'), ...args], {
      cwd,
      env: { PATH: process.env['PATH'], ...cli.env, AWS_ENDPOINT_URL: between.url, VDISK_HTTP_CONNECTIONS: '1' },
      stdio: 'ignore',
    })
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
    await Promise.race([between.held, ended])
    child.kill('SIGKILL')
    await ended
    assert.equal(await server.get('killed.raw'), undefined)
    assert.match(await ok('s3', 'uploads', address('killed.raw')), /^20\d\d-/)
    const resumed = await cli.run([...args, '--json'], { AWS_ENDPOINT_URL: between.url })
    assert.equal(resumed.code, 0, resumed.stderr)
    assert.equal((JSON.parse(resumed.stdout.toString()) as { resumed: number }).resumed, 5 * mebibyte)
    assert.ok((await server.get('killed.raw'))?.equals(fs.readFileSync(disk)))
    assert.match(await ok('s3', 'uploads', address('killed.raw')), /no unfinished uploads/)
  },
)
