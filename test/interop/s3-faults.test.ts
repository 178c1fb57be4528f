import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { convert, type ConvertResult } from '../../src/operations/transfer/convert.js'
import { root, type CliResult } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike } from '../support/content.js'
import { fixture } from '../support/fixtures.js'
import { testFolder } from '../support/folder.js'
import { noS3, S3Cli, s3Registry } from '../support/s3-plugin.js'
import { refuse, S3Server, secretKey, type S3Fault } from '../support/s3-server.js'
import { isInstalled, run } from '../support/tools.js'

const mebibyte = 1048576
const target = 's3://bucket/disk.raw'

interface Here {
  readonly server: S3Server
  readonly cli: S3Cli
  readonly cwd: string
  readonly disk: Buffer
}

/** A store, and a disk of 18 MiB: four parts. */
async function here(t: TestContext): Promise<Here> {
  const cwd = testFolder(t)
  const server = await S3Server.start(t)
  const disk = Buffer.from(diskLike(18 * mebibyte, 51))
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  return { server, cli: new S3Cli(cwd, server.env), cwd, disk }
}

/** Meets the first requests of a kind with a fault. */
function faulty(what: RegExp, fault: S3Fault, times = Infinity): S3Fault {
  let met = 0
  return (request, response) => (what.test(request.what) && met++ < times ? fault(request, response) : undefined)
}

function is({ code, stderr }: CliResult, expected: number, text: RegExp): void {
  assert.equal(code, expected, stderr)
  assert.match(stderr, text)
  assert.ok(!stderr.includes(secretKey), stderr)
}

test('s3: what may pass is tried again, and the bytes are right', { skip: noS3 }, async (t) => {
  const { server, cwd, disk } = await here(t)
  const registry = await s3Registry(t, server.env)
  const convertTo = async (): Promise<ConvertResult> =>
    await convert(join(cwd, 'disk.raw'), target, { registry, force: true })
  const faults: readonly (readonly [string, S3Fault])[] = [
    [
      'SlowDown',
      faulty(/^part/, (_request, response) => (refuse(response, 503, 'SlowDown', { 'Retry-After': '0' }), true), 4),
    ],
    [
      '429',
      faulty(
        /^part|^begin/,
        (_request, response) => (refuse(response, 429, 'TooManyRequests', { 'Retry-After': '0' }), true),
        3,
      ),
    ],
    ['a cut connection', faulty(/^part/, (_request, response) => (response.destroy(), true), 2)],
    [
      'a wrong ETag',
      faulty(
        /^part 2/,
        (_request, response) => (response.writeHead(200, { ETag: `"${'0'.repeat(32)}"` }).end(), true),
        1,
      ),
    ],
    [
      'an error behind 200',
      faulty(/^complete/, (_request, response) => (refuse(response, 200, 'InternalError'), true), 1),
    ],
  ]
  for (const [name, fault] of faults) {
    server.fault = fault
    await convertTo()
    assert.ok(server.objects.get('disk.raw')?.bytes.equals(disk), name)
    assert.equal(server.uploads.size, 0, name)
  }
  // The answer to what made the object is lost: asked again, the server has it.
  const lost: string[] = []
  server.objects.clear()
  server.fault = (request, response) => {
    if (request.what !== 'complete' || lost.length > 0) return undefined
    lost.push(request.what)
    response.end = () => response.destroy()
    return undefined
  }
  assert.deepEqual((await convertTo()).notes, [])
  assert.equal(lost.length, 1)
  assert.ok(server.objects.get('disk.raw')?.bytes.equals(disk))
})

test('s3: what does not pass is an error, and nothing is left', { skip: noS3 }, async (t) => {
  const { server, cli, cwd, disk } = await here(t)
  const refusing = (status: number, code: string): S3Fault =>
    faulty(/^part/, (_request, response) => (refuse(response, status, code), true))
  const faults: readonly (readonly [string, S3Fault, RegExp])[] = [
    ['expired credentials', refusing(400, 'ExpiredToken'), /ExpiredToken[\s\S]*have expired/],
    ['no permission', refusing(403, 'AccessDenied'), /AccessDenied/],
    ['a lost upload', refusing(404, 'NoSuchUpload'), /NoSuchUpload/],
    [
      'a part that is always wrong',
      faulty(/^part 1/, (_request, response) => (response.writeHead(200, { ETag: `"${'0'.repeat(32)}"` }).end(), true)),
      /other bytes of part 1/,
    ],
  ]
  const registry = await s3Registry(t, server.env)
  for (const [name, fault, text] of faults) {
    server.fault = fault
    await assert.rejects(convert(join(cwd, 'disk.raw'), target, { registry }), (error) => {
      assert.ok(isImageError(error) && error.kind === 'target', String(error))
      assert.match(`${error.message} ${error.hint ?? ''}`, text)
      return true
    })
    assert.equal(server.objects.size, 0, name)
    assert.equal(server.uploads.size, 0, name)
  }
  server.fault = ({ what }) => (what === 'put' ? true : undefined)
  fs.writeFileSync(join(cwd, 'tiny.raw'), disk.subarray(0, 4096))
  const silent = await cli.run(['convert', 'tiny.raw', target], { VDISK_HTTP_TIMEOUT: '2' })
  is(silent, 7, /the server does not answer \(5 tries\)/)
  // What cannot be taken back is said, with the command that does it later; and that command works.
  server.fault = (request, response) =>
    /^part|^abort/.test(request.what) ? (refuse(response, 403, 'AccessDenied'), true) : undefined
  is(
    await cli.run(['convert', 'disk.raw', target]),
    7,
    /could not be removed[\s\S]*vdisk s3 uploads s3:\/\/bucket\/disk\.raw --abort/,
  )
  assert.equal(server.uploads.size, 1)
  server.fault = undefined
  assert.match((await cli.run(['s3', 'uploads', target])).stdout.toString(), /upload-\d+/)
  assert.equal((await cli.run(['s3', 'uploads', target, '--abort'])).code, 0)
  assert.equal(server.uploads.size, 0)
})

test('s3: what appears or changes meanwhile is not replaced', { skip: noS3 }, async (t) => {
  const { server, cli } = await here(t)
  const other = { bytes: Buffer.from('of somebody else'), tag: 'other' }
  /** Somebody else is faster, right before the object is made. */
  const faster: S3Fault = ({ what }) => {
    if (what === 'complete' || what === 'put') server.objects.set('disk.raw', other)
    return undefined
  }
  for (const knowsConditions of [true, false]) {
    server.objects.clear()
    server.knowsConditions = knowsConditions
    server.fault = faster
    is(await cli.run(['convert', 'disk.raw', target]), 7, /exists by now/)
    assert.equal(server.objects.get('disk.raw'), other)
    assert.equal(server.uploads.size, 0)

    server.objects.set('disk.raw', { bytes: Buffer.from('seen'), tag: 'seen' })
    is(await cli.run(['convert', 'disk.raw', target, '--force']), 3, /was replaced by somebody else/)
    assert.equal(server.objects.get('disk.raw'), other)
  }
  server.fault = undefined
  server.objects.clear()
  is(await cli.run(['convert', 'disk.raw', target]), 0, /the server knows no conditions/)
})

test(
  's3: a killed upload leaves no object, and --resume goes on with what the server has',
  { skip: noS3 },
  async (t) => {
    const { server, cli, cwd, disk } = await here(t)
    const env = { PATH: process.env['PATH'] ?? '', HOME: cwd, TERM: 'dumb', ...cli.env, VDISK_HTTP_CONNECTIONS: '1' }
    const args = ['convert', 'disk.raw', target, '--resume']
    const child = spawn(process.execPath, [join(root, 'bin/run.js'), ...args], { cwd, env, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('close', resolve))
    // The third part is never answered.
    server.fault = ({ what }) => {
      if (what !== 'part 3') return undefined
      child.kill('SIGKILL')
      return true
    }
    await ended
    assert.equal(server.objects.size, 0)
    const [upload] = server.uploads.values()
    assert.deepEqual([...(upload?.parts.keys() ?? [])], [1, 2])
    server.fault = undefined

    // A part that is not what the disk has now is sent again.
    upload?.parts.set(2, Buffer.alloc(5 * mebibyte))
    const before = server.count('part')
    const { code, stdout, stderr } = await cli.run([...args, '--json'])
    assert.equal(code, 0, stderr)
    assert.equal((JSON.parse(stdout.toString()) as { resumed: number }).resumed, 5 * mebibyte)
    assert.equal(server.count('part') - before, 3)
    assert.ok(server.objects.get('disk.raw')?.bytes.equals(disk))
    assert.equal(server.uploads.size, 0)

    // Ctrl-C leaves nothing, unless it is to be gone on with.
    const stopped = spawn(process.execPath, [join(root, 'bin/run.js'), ...args.slice(0, 3), '--force'], { cwd, env })
    let said = ''
    stopped.stderr.on('data', (text: Buffer) => (said += text.toString()))
    server.fault = ({ what }) => (what === 'part 3' ? stopped.kill('SIGINT') || undefined : undefined)
    const code130 = await new Promise((resolve) => stopped.once('close', resolve))
    assert.equal(code130, 130, said)
    assert.match(said, /Nothing of the upload is left/)
    assert.equal(server.uploads.size, 0)
    assert.ok(server.objects.get('disk.raw')?.bytes.equals(disk))

    // An upload that the server no longer has begins anew.
    server.fault = faulty(/^part 3/, (_request, response) => (refuse(response, 403, 'AccessDenied'), true))
    is(await cli.run([...args, '--force']), 7, /What was sent of .* is kept/)
    assert.equal(server.uploads.size, 1)
    server.uploads.clear()
    server.fault = undefined
    is(await cli.run([...args, '--force']), 0, /no longer has the upload of an earlier run/)
    assert.deepEqual(fs.readdirSync(join(cwd, 'state/vdisk/resume')), [])
  },
)

test('s3: info takes four requests at most, and convert fetches what is stored', { skip: noS3 }, async (t) => {
  const { server, cli, cwd } = await here(t)
  for (const name of ['partitioned-disk.vhdx', 'large.qcow2']) {
    const path = name === 'large.qcow2' ? join(cwd, name) : fixture(name)
    if (name === 'large.qcow2') assert.equal((await cli.run(['convert', 'disk.raw', name])).code, 0)
    const bytes = fs.readFileSync(path)
    server.objects.set(name, { bytes, tag: 'image' })
    server.requests.length = 0
    const { code, stderr } = await cli.run(['info', `s3://bucket/${name}`])
    assert.equal(code, 0, stderr)
    assert.ok(server.requests.length <= 4, `${name}: ${server.requests.length} requests`)
    server.requests.length = 0
    assert.equal((await cli.run(['convert', `s3://bucket/${name}`, `${name}.raw`])).code, 0)
    const fetched = server.requests.reduce((sum, request) => sum + request.bytes, 0)
    assert.ok(fetched <= bytes.length * 1.01, `${name}: ${fetched} of ${bytes.length} bytes`)
  }
  const [first] = server.objects.values()
  assert.ok(first !== undefined)
  // A change meanwhile is an error, never a mixture.
  server.fault = ({ what }) => {
    if (what === 'get' && server.requests.length > 1)
      server.objects.set('large.qcow2', { bytes: first.bytes, tag: 'new' })
    return undefined
  }
  server.requests.length = 0
  is(await cli.run(['convert', 's3://bucket/large.qcow2', 'x.raw']), 4, /has changed on its server/)
  assert.equal(fs.existsSync(join(cwd, 'x.raw')), false)
})

test('s3: settings come from profiles, and what they lack is said', { skip: noS3 }, async (t) => {
  const { server, cli, cwd, disk } = await here(t)
  server.objects.set('disk.raw', { bytes: disk, tag: 'image' })
  const { AWS_ENDPOINT_URL = '', AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = server.env
  const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_ENDPOINT_URL: undefined }
  const keys = join(cwd, 'keys.json')
  fs.writeFileSync(
    keys,
    JSON.stringify({ Version: 1, AccessKeyId: AWS_ACCESS_KEY_ID, SecretAccessKey: AWS_SECRET_ACCESS_KEY }),
  )
  fs.writeFileSync(
    join(cwd, 'config'),
    `[profile kept]\nendpoint_url = ${AWS_ENDPOINT_URL}\nregion = eu-west-1\n` +
      `[profile process]\nendpoint_url = ${AWS_ENDPOINT_URL}\ncredential_process = cat ${keys}\n` +
      `[profile broken]\ncredential_process = echo ${AWS_SECRET_ACCESS_KEY}\n[profile sso]\nsso_session = x\n`,
  )
  fs.writeFileSync(
    join(cwd, 'credentials'),
    `[kept]\naws_access_key_id=${AWS_ACCESS_KEY_ID}\naws_secret_access_key=${AWS_SECRET_ACCESS_KEY}\n`,
  )
  const files = { AWS_CONFIG_FILE: join(cwd, 'config'), AWS_SHARED_CREDENTIALS_FILE: join(cwd, 'credentials') }
  for (const [profile, code, text] of [
    ['kept', 0, /^$/],
    ['process', 0, /^$/],
    ['broken', 2, /credential_process of the profile failed/],
    ['sso', 2, /aws configure export-credentials/],
    ['missing', 2, /there is no profile "missing"/],
  ] as const)
    is(await cli.run(['info', target], { ...none, ...files, AWS_PROFILE: profile }), code, text)
  const anonymous = { ...none, AWS_ENDPOINT_URL }
  is(await cli.run(['info', target], anonymous), 2, /No credentials were found/)
  is(await cli.run(['convert', 'disk.raw', 's3://bucket/new.raw'], anonymous), 2, /credentials/)
  is(await cli.run(['info', target], { VDISK_S3_PART_MIB: '4' }), 2, /VDISK_S3_PART_MIB is a whole number from 5/)
  for (const [address, text] of [
    ['s3://', /bucket is no name/],
    ['s3://bucket', /names no object/],
    ['s3://bucket/a/../b', /\. and \.\./],
  ] as const)
    is(await cli.run(['info', address]), 2, text)
})

test('s3: what a HEAD is refused for is found out, and said', { skip: noS3 }, async (t) => {
  const { server, cli, cwd, disk } = await here(t)
  const registry = await s3Registry(t, server.env)
  const small = join(cwd, 'small.raw')
  fs.writeFileSync(small, disk.subarray(0, 4096))
  /** The text of an answer to HEAD is never sent. */
  const refusing =
    (status: number, code: string, headers: Readonly<Record<string, string>> = {}): S3Fault =>
    ({ method }, response) => {
      if (method === 'HEAD') response.writeHead(status).end()
      else refuse(response, status, code, headers)
      return true
    }
  for (const [fault, code, text] of [
    [refusing(403, 'RequestTimeTooSkewed'), 'E_PERMISSION', /RequestTimeTooSkewed.*clock differs/],
    [refusing(400, 'ExpiredToken'), 'E_HTTP_STATUS', /ExpiredToken.*have expired/],
    [refusing(403, 'SignatureDoesNotMatch'), 'E_PERMISSION', /SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY/],
    [refusing(301, 'PermanentRedirect'), 'E_HTTP_STATUS', /PermanentRedirect.*set AWS_REGION/],
    [
      refusing(400, 'AuthorizationHeaderMalformed', { 'x-amz-bucket-region': 'eu-west-1' }),
      'E_HTTP_STATUS',
      /AWS_REGION=eu-west-1/,
    ],
  ] as const) {
    server.fault = fault
    await assert.rejects(convert(small, target, { registry }), (error) => {
      assert.ok(isImageError(error) && error.code === code, String(error))
      assert.match(`${error.message} ${error.hint ?? ''}`, text)
      return true
    })
  }
  // So it is for what is only read; and where no reason is given, none of web servers is made up.
  server.fault = refusing(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' })
  is(await cli.run(['info', target]), 2, /PermanentRedirect[^]*AWS_REGION=eu-west-1/)
  server.fault = (_request, response) => (response.writeHead(403).end(), true)
  const { stderr } = await cli.run(['info', target])
  assert.match(stderr, /may not do this/)
  assert.doesNotMatch(stderr, /stand in the address/)
  // Who may not ask for what stands there by HEAD may be allowed to read it.
  server.objects.set('disk.raw', { bytes: disk, tag: 'one' })
  server.fault = ({ method }, response) => (method === 'HEAD' ? (response.writeHead(403).end(), true) : undefined)
  await assert.rejects(convert(small, target, { registry }), /exists already/)
})

const noOpenssl = isInstalled('openssl') ? undefined : skipReason('openssl is not installed')

test('s3: by TLS each part is sent with one digest, and compared', { skip: noS3 ?? noOpenssl }, async (t) => {
  const cwd = testFolder(t)
  const [key, certificate] = [join(cwd, 'key.pem'), join(cwd, 'certificate.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  run('openssl', 'req', '-x509', ...kind, ...subject, '-keyout', key, '-out', certificate)
  const server = await S3Server.start(t, { key: fs.readFileSync(key), cert: fs.readFileSync(certificate) })
  const cli = new S3Cli(cwd, { ...server.env, NODE_EXTRA_CA_CERTS: certificate })
  const disk = Buffer.from(diskLike(12 * mebibyte, 52))
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const digests: (string | undefined)[] = []
  server.fault = ({ what, headers }, response) => {
    if (!/^part|^put/.test(what)) return undefined
    digests.push(headers['x-amz-content-sha256'] as string | undefined)
    // What was sent is still what has to be there.
    if (digests.length > 1) return undefined
    response.writeHead(200, { ETag: `"${'0'.repeat(32)}"` }).end()
    return true
  }
  is(await cli.run(['convert', 'disk.raw', target]), 0, /^$/)
  assert.ok(server.objects.get('disk.raw')?.bytes.equals(disk))
  assert.deepEqual(
    digests,
    Array.from({ length: 4 }, () => 'UNSIGNED-PAYLOAD'),
  )
  const names = ["a #?%25&+=;:@!$'()*,~ é/ü b.raw", 'a//b.raw', 'sub/.hidden']
  fs.writeFileSync(join(cwd, 'sector.raw'), disk.subarray(0, 512))
  for (const name of names) {
    is(await cli.run(['convert', 'sector.raw', `s3://bucket/${name}`, '--to', 'raw']), 0, /^/)
    assert.ok(server.objects.get(name)?.bytes.equals(disk.subarray(0, 512)), [...server.objects.keys()].join('\n'))
    is(await cli.run(['compare', 'sector.raw', `s3://bucket/${name}`]), 0, /^/)
  }
})
