import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { program, vdisk, type CliResult } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { holding } from '../support/holding.js'
import { ociRegistry, registryMissing } from '../support/oci-registry.js'
import { OciServer } from '../support/oci-server.js'

const mebibyte = 1048576
/** What is sent by one request of an upload that may be gone on with. */
const chunk = 16 * mebibyte
/** The layer is the archive around a raw image: two blocks before it, two behind it. */
const layerLength = 40 * mebibyte + 4 * 512
/** The head of the request with the second chunk. */
const secondChunk = `Content-Range: ${chunk}-`

interface Here {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly disk: Buffer
}

/** A disk of 40 MiB, all of it content: three chunks. */
function here(t: TestContext): Here {
  const cwd = testFolder(t)
  const disk = Buffer.from(diskLike(40 * mebibyte, 71))
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  return { cwd, env: { XDG_STATE_HOME: join(cwd, 'state') }, disk }
}

/** The unfinished uploads of which something is kept. */
const kept = ({ cwd }: Here): string[] => fs.readdirSync(join(cwd, 'state/vdisk/resume'))

const wordsFor = (host: string, name: string, ...more: readonly string[]): string[] => [
  'convert',
  'disk.raw',
  `oci://${host}/vm/disk:${name}`,
  '--to',
  'raw',
  '--resume',
  ...more,
]

/**
 * Kills an upload when a text comes by on its way to a registry.
 * @param more bytes behind it that still arrive. @returns the host that the same command is to name.
 */
async function killed(t: TestContext, { cwd, env }: Here, host: string, tag: string, text: string, more?: number) {
  const between = await holding(t, `http://${host}`, text, more)
  const by = new URL(between.url).host
  const child = spawn(process.execPath, [program, ...wordsFor(by, tag)], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: cwd, VDISK_DATA_DIR: join(cwd, 'no-plugins'), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'none')),
  )
  await Promise.race([between.held, ended])
  child.kill('SIGKILL')
  assert.equal(await ended, 'SIGKILL', said)
  between.drop()
  return by
}

/** Goes on. @returns how many bytes were taken from the earlier run, and what was warned of. */
async function goesOn({ cwd, env, disk }: Here, host: string, tag: string): Promise<[number, string[]]> {
  const { code, stdout, stderr } = await vdisk(wordsFor(host, tag, '--json', '--verify'), { cwd, env })
  assert.equal(code, 0, stderr + stdout.toString())
  const back = await vdisk(['convert', `oci://${host}/vm/disk:${tag}`, 'back.raw', '--force'], { cwd, env })
  assert.equal(back.code, 0, back.stderr)
  assert.ok(fs.readFileSync(join(cwd, 'back.raw')).equals(disk), tag)
  assert.deepEqual(kept({ cwd, env, disk }), [])
  const { resumed, notes } = JSON.parse(stdout.toString()) as {
    readonly resumed: number
    readonly notes: readonly { readonly code: string }[]
  }
  return [resumed, notes.map((note) => note.code).filter((noted) => noted !== 'W_EXTENSION')]
}

test(
  "oci: an upload to Docker's registry that is killed is gone on with, or begun anew where that refuses",
  { skip: registryMissing() },
  async (t) => {
    const made = here(t)
    const host = await ociRegistry(t, made.cwd)
    const tags = async (): Promise<number> => (await fetch(`http://${host}/v2/vm/disk/tags/list`)).status
    // Between two chunks.
    const between = await killed(t, made, host, 'between', secondChunk)
    assert.equal(await tags(), 404)
    assert.deepEqual(await goesOn(made, between, 'between'), [chunk, []])
    // In the middle of a chunk: this registry knows no way behind it.
    const cut = await killed(t, made, host, 'cut', secondChunk, mebibyte)
    assert.deepEqual(await goesOn(made, cut, 'cut'), [0, ['W_STARTED_AGAIN']])
    // With all of the layer there, and no tag: nothing of it is sent again.
    const untagged = await killed(t, made, host, 'untagged', 'PUT /v2/vm/disk/manifests/')
    assert.deepEqual(await goesOn(made, untagged, 'untagged'), [layerLength, []])
  },
)

test('oci: where a registry keeps what came of a chunk, no byte of it is sent again', async (t) => {
  const made = here(t)
  const server = await OciServer.start(t)
  const by = await killed(t, made, server.host, 'v1', secondChunk, mebibyte)
  assert.equal(server.tags.size, 0)
  let there = Buffer.alloc(0)
  // The server hears of the end of the connection by itself.
  while (there.length <= chunk) {
    await setTimeout(10)
    there = Buffer.from([...server.uploads.values()][0] ?? '')
  }
  assert.ok(there.length > chunk && there.length < 2 * chunk, String(there.length))
  const before = server.requests.length
  assert.deepEqual(await goesOn(made, by, 'v1'), [there.length, []])
  const sent = server.requests.slice(before).filter(({ what, method }) => what === 'upload' && method === 'PATCH')
  assert.equal(
    sent.reduce((sum, { body }) => sum + body.length, 0),
    layerLength - there.length,
  )
})

test('oci: what was sent of another source, or is not what was sent, is dropped', async (t) => {
  const made = here(t)
  const { cwd, env, disk } = made
  const server = await OciServer.start(t)
  const again = async (host: string): Promise<CliResult> => await vdisk(wordsFor(host, 'v1'), { cwd, env })
  const is = ({ code, stderr }: CliResult, expected: number, text: RegExp): void => {
    assert.equal(code, expected, stderr)
    assert.match(stderr, text)
  }
  const other = Buffer.from(disk)
  other[5 * mebibyte] = (other[5 * mebibyte] ?? 0) ^ 1
  for (const text of [secondChunk, 'PUT /v2/vm/disk/manifests/']) {
    fs.writeFileSync(join(cwd, 'disk.raw'), disk)
    const by = await killed(t, made, server.host, 'v1', text)
    fs.writeFileSync(join(cwd, 'disk.raw'), other)
    is(await again(by), 3, /other bytes than are read now[^]*it begins anew/)
    assert.equal(server.uploads.size, 0)
    assert.equal(server.tags.size, 0)
    assert.equal((await goesOn({ ...made, disk: other }, by, 'v1'))[0], 0)
    server.tags.clear()
  }
  // A registry that kept other bytes than it was sent: its digest says so, and the next run begins anew.
  fs.writeFileSync(join(cwd, 'disk.raw'), disk)
  const by = await killed(t, made, server.host, 'v1', secondChunk)
  for (const bytes of server.uploads.values()) bytes[5000] = (bytes[5000] ?? 0) ^ 1
  is(await again(by), 8, /has other bytes than were sent/)
  assert.equal(server.tags.size, 0)
  assert.equal((await goesOn(made, by, 'v1'))[0], 0)
})

test('oci: an interruption waits for the chunk that is on its way, and says what is kept', async (t) => {
  const made = here(t)
  const { cwd, env } = made
  const server = await OciServer.start(t)
  let chunks = 0
  let interrupt = (): void => undefined
  server.fault = ({ method }) => {
    if (method === 'PATCH' && ++chunks === 2) interrupt()
    return undefined
  }
  // The last chunk is not full before the interruption is known.
  const words = wordsFor(server.host, 'v1', '--progress', 'json', '--rate', '10M')
  const onError = (_text: string, child: { kill(signal: 'SIGINT'): boolean }): void => {
    interrupt = () => void child.kill('SIGINT')
  }
  const stopped = await vdisk(words, { cwd, env, onError })
  assert.equal(stopped.code, 130, stopped.stderr)
  assert.match(stopped.stderr, /keeps the first 33,?554,?432 bytes[^]*the same command again/)
  assert.equal(server.tags.size, 0)
  assert.deepEqual(await goesOn(made, server.host, 'v1'), [2 * chunk, []])
})
