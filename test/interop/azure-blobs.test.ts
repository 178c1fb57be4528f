import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { azureServer, blobName, writtenSectors, type AzureFault, type AzureServer } from '../support/azure-server.js'
import { vdisk, type CliResult } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { isInstalled, run } from '../support/tools.js'

const mebibyte = 1048576
const name = blobName('disk.vhd')

interface Setting {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly server: AzureServer
  readonly address: string
  readonly disk: Buffer
  readonly convert: (...more: string[]) => Promise<CliResult>
}

/** A disk of 96 MiB with 31 MiB of content, and zeros that are stored. */
async function setting(t: TestContext): Promise<Setting> {
  const cwd = testFolder(t)
  const server = await azureServer(t)
  const disk = Buffer.alloc(96 * mebibyte)
  fill(disk, 1, 0, 10 * mebibyte)
  fill(disk, 2, 40 * mebibyte, 60 * mebibyte)
  fill(disk, 3, 95 * mebibyte, 96 * mebibyte)
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const address = server.address('disk.vhd')
  const env = { XDG_STATE_HOME: join(cwd, 'state') }
  const convert = async (...more: string[]) =>
    await said(vdisk(['convert', 'disk.raw', address, ...more], { cwd, env }))
  return { cwd, env, server, address, disk, convert }
}

/** What opens the blob is never shown. */
async function said(result: Promise<CliResult>): Promise<CliResult> {
  const { stdout, stderr } = await result
  assert.doesNotMatch(stdout.toString() + stderr, /SEcRet|sig=/)
  return await result
}

test('azure: a page blob holds the disk, and only what is stored of it was sent', async (t) => {
  const { cwd, server, address, disk, convert } = await setting(t)
  const made = await convert('--for', 'azure-gen1', '--verify', '--json')
  assert.equal(made.code, 0, made.stderr + made.stdout.toString())
  const { verified, target, platform } = JSON.parse(made.stdout.toString()) as {
    readonly verified: boolean
    readonly target: { readonly size: number }
    readonly platform: { readonly next: readonly string[] }
  }
  assert.ok(verified)
  assert.equal(target.size, disk.length + 512)
  assert.match(platform.next.join(), /^az disk create .* --source http:\S+\/disk\.vhd --os-type Linux/)
  const blob = server.blobs.get(name)
  assert.ok(blob)
  assert.ok(blob.content.subarray(0, disk.length).equals(disk))
  assert.equal(writtenSectors(blob) * 512, 31 * mebibyte + 512)
  fs.writeFileSync(join(cwd, 'there.vhd'), blob.content)
  if (isInstalled('qemu-img'))
    run('qemu-img', 'compare', '-f', 'vpc', '-F', 'raw', join(cwd, 'there.vhd'), join(cwd, 'disk.raw'))

  // As a source its page ranges are the map: what was never written is not asked for.
  const before = server.requests.length
  const back = await said(vdisk(['convert', address, 'back.qcow2', '--verify'], { cwd }))
  assert.equal(back.code, 0, back.stderr)
  const asked = server.requests.slice(before)
  const fetched = asked.flatMap(({ headers, what }) => (what === '' ? (headers.range ?? []) : [])).map(lengthOf)
  // The first request asks for a mebibyte; the copy and the proof read the rest once each.
  assert.ok(fetched.reduce((sum, length) => sum + length, 0) <= 62 * mebibyte + 3 * mebibyte, fetched.join(' '))
  const compared = await vdisk(['compare', 'disk.raw', 'back.qcow2'], { cwd })
  assert.equal(compared.code, 0, compared.stderr)
  const mapped = await said(vdisk(['map', address, '--json'], { cwd }))
  assert.equal(mapped.code, 0, mapped.stderr)

  // It is there now.
  assert.equal((await convert()).code, 7)
  assert.equal(server.blobs.get(name), blob)
  const onItself = await said(vdisk(['convert', address, `${address}&x=1`, '--force'], { cwd }))
  assert.equal(onItself.code, 3, onItself.stderr)
  assert.equal(server.blobs.get(name), blob)
  const replaced = await convert('--force')
  assert.equal(replaced.code, 0, replaced.stderr)
  assert.notEqual(server.blobs.get(name), blob)

  for (const [args, message] of [
    [['--option', 'subformat=dynamic', '--force'], /fixed VHDs only/],
    [['--to', 'qcow2', '--force'], /fixed VHDs only/],
    [['--size', String(96 * mebibyte + 512), '--force'], /whole MiB/],
  ] as const) {
    const refused = await convert(...args)
    assert.equal(refused.code, 2, refused.stderr)
    assert.match(refused.stderr, message)
  }
})

/** No sector is zero, or as another one. */
function fill(disk: Buffer, seed: number, start: number, end: number): void {
  disk.fill('what is on the disk ', start, end)
  for (let at = start; at < end; at += 512) disk.writeUInt32LE(at + seed, at)
}

const lengthOf = (range: string): number => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? []
  return Number(last) - Number(first) + 1
}

const answers =
  (status: number, code: string, wanted: (what: string, count: number) => boolean): AzureFault =>
  ({ what }, response, count) => {
    if (!wanted(what, count)) return undefined
    response.writeHead(status, { 'x-ms-error-code': code, 'Retry-After': '0' }).end()
    return true
  }

test('azure: a server with faults gives the right blob or the right error, and nothing is left', async (t) => {
  const { cwd, server, disk, convert } = await setting(t)
  const passing: AzureFault[] = [
    (_request, response) => {
      response.socket?.destroy()
      return true
    },
    answers(500, 'InternalError', () => true),
    answers(503, 'ServerBusy', () => true),
    answers(429, 'TooManyRequests', () => true),
    () => 'after',
  ]
  // Every request when it is made for the first time, one of them each time.
  const seen = new Set<string>()
  server.fault = (request, response, count) => {
    const { method, what, headers } = request
    const asked = [method, what, headers['x-ms-range'] ?? headers.range].join(' ')
    if (seen.has(asked)) return undefined
    seen.add(asked)
    return passing[seen.size % passing.length]?.(request, response, count)
  }
  const made = await convert()
  assert.equal(made.code, 0, made.stderr)
  assert.ok(server.blobs.get(name)?.content.subarray(0, disk.length).equals(disk))
  server.fault = undefined
  server.blobs.clear()
  const later = (what: string, count: number): boolean => what === 'page' && count > 6
  for (const [fault, code, message] of [
    [answers(500, 'InternalError', later), 7, /500 \(InternalError\) \(8 tries\)/],
    [answers(403, 'AuthenticationFailed', later), 7, /may have expired/],
    [answers(404, 'ContainerNotFound', () => true), 7, /no such container/],
    [answers(403, 'AuthorizationPermissionMismatch', () => true), 7, /needs the permissions/],
  ] as const) {
    const from = server.requests.length
    server.fault = (request, response, count) =>
      request.method === 'DELETE' ? undefined : fault(request, response, count - from)
    const failed = await convert()
    assert.equal(failed.code, code, failed.stderr)
    assert.match(failed.stderr, message)
    assert.equal(server.blobs.size, 0, failed.stderr)
  }

  // Somebody else has it: their blob stays.
  server.fault = ({ what }) => {
    const blob = server.blobs.get(name)
    if (what === 'page' && blob !== undefined) blob.lease = 'theirs'
    return undefined
  }
  const lost = await convert()
  assert.equal(lost.code, 3, lost.stderr)
  assert.match(lost.stderr, /another program has it [^]*could not be removed/)
  assert.equal(server.blobs.size, 1)
  server.fault = undefined
  server.blobs.clear()

  // As a source: another blob meanwhile.
  assert.equal((await convert()).code, 0)
  const blob = server.blobs.get(name)
  assert.ok(blob)
  server.fault = ({ method, headers }) => {
    if (method === 'GET' && headers.range !== undefined && !headers.range.startsWith('bytes=0-')) blob.version++
    return undefined
  }
  const changed = await said(vdisk(['convert', server.address('disk.vhd'), 'changed.raw'], { cwd }))
  assert.equal(changed.code, 4, changed.stderr)
  assert.match(changed.stderr, /has changed on its server/)
  // A service that does not give the list: all of it is read.
  server.fault = answers(403, 'AuthorizationPermissionMismatch', (what) => what === 'pagelist')
  const whole = await said(vdisk(['compare', server.address('disk.vhd'), 'disk.raw'], { cwd }))
  assert.equal(whole.code, 0, whole.stderr)
})

/** Ends a conversion by a signal in its middle: pages of the end are not answered. */
async function ended(
  { server, address, cwd, env }: Setting,
  signal: NodeJS.Signals,
  more: readonly string[],
  isReady = (): boolean => true,
): Promise<CliResult> {
  let program: ChildProcess | undefined
  let ends = false
  const end = (): void => {
    if (program !== undefined && isReady()) program.kill(signal)
    else setTimeout(end, 10)
  }
  server.fault = ({ what, headers }) => {
    const start = Number(/^bytes=(\d+)-/.exec(String(headers['x-ms-range']))?.[1])
    if (what !== 'page' || start < 52 * mebibyte) return undefined
    if (!ends) end()
    ends = true
    return true
  }
  const args = ['convert', 'disk.raw', address, '--progress', 'json', ...more]
  const result = await said(vdisk(args, { cwd, env, onError: (_text, child) => (program = child) }))
  server.fault = undefined
  return result
}

test('azure: what is interrupted is removed; what is killed is no VHD, and --resume goes on', async (t) => {
  const made = await setting(t)
  const { cwd, env, server, disk, convert } = made
  const folder = join(cwd, 'state/vdisk/resume')
  const states = (): string[] =>
    fs.existsSync(folder) ? fs.readdirSync(folder).filter((one) => one.endsWith('.json')) : []
  const stopped = await ended(made, 'SIGTERM', [])
  assert.equal(stopped.code, 130, stopped.stderr)
  assert.equal(server.blobs.size, 0)

  const killed = await ended(made, 'SIGKILL', ['--resume'], () => states().length === 1)
  assert.equal(killed.code, 'SIGKILL')
  const blob = server.blobs.get(name)
  assert.ok(blob)
  assert.ok(blob.content.subarray(disk.length).equals(Buffer.alloc(512)))
  assert.equal(states().length, 1)
  // Without it what is there counts as somebody's.
  assert.equal((await convert()).code, 7)
  // With a signature that is made anew.
  const before = server.requests.length
  const resigned = `${server.address('disk.vhd')}&se=2098-01-01`
  const resumed = await said(vdisk(['convert', 'disk.raw', resigned, '--resume', '--verify'], { cwd, env }))
  assert.equal(resumed.code, 0, resumed.stderr)
  assert.equal(server.blobs.get(name), blob)
  assert.ok(blob.content.subarray(0, disk.length).equals(disk))
  assert.equal(blob.content.toString('latin1', disk.length, disk.length + 8), 'conectix')
  // Each range once: a connection that broke is none of it.
  const sent = server.requests
    .slice(before)
    .flatMap(({ what, length, headers }) => (what === 'page' && length > 512 ? String(headers['x-ms-range']) : []))
  const again = [...new Set(sent)].reduce((sum, range) => sum + lengthOf(range), 0)
  // At the latest the piece that ends at 44 MiB was kept: 14 of the 31 MiB, whatever was answered first.
  assert.ok(again <= 17 * mebibyte, sent.join(' '))
  assert.deepEqual(states(), [])

  // An interruption that leaves what can be gone on with says so.
  server.blobs.clear()
  const kept = await ended(made, 'SIGTERM', ['--resume'])
  assert.equal(kept.code, 130)
  assert.match(kept.stderr, /bytes are kept in .*: run the same command again/)
  assert.equal(server.blobs.get(name)?.lease, undefined)
  fill(disk, 9, 0, disk.length)
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const other = await convert('--resume')
  assert.equal(other.code, 3, other.stderr)
  assert.match(other.stderr, /other bytes than are read now/)
  // As it says.
  const anew = await convert('--force')
  assert.equal(anew.code, 0, anew.stderr)
  assert.ok(server.blobs.get(name)?.content.subarray(0, disk.length).equals(disk))
})
