import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../../src/errors.js'
import { httpScheme } from '../../../src/location/http.js'
import { pageList } from '../../../src/remote/azure/page-list.js'
import { PageBlobTarget } from '../../../src/location/azure/page-blob-target.js'
import { parseHttpAddress } from '../../../src/remote/http/address.js'
import type { Upload, UploadTarget } from '../../../src/location/upload.js'
import { withoutSecrets } from '../../../src/sys/secrets.js'
import { azureServer, blobName, writtenSectors, type AzureFault, type AzureServer } from '../../support/azure-server.js'
import { diskLike } from '../../support/content.js'

const mebibyte = 1048576
const size = 40 * mebibyte + 512
const name = blobName('disk.vhd')
/** Data at both ends, in the middle, and in a single sector. */
const places = [
  { position: 0, length: 9 * mebibyte },
  { position: 12 * mebibyte, length: 65536 },
  { position: 13 * mebibyte + 512, length: 512 },
  { position: 20 * mebibyte, length: 18 * mebibyte },
] as const

function content(): Buffer {
  const bytes = Buffer.alloc(size)
  for (const { position, length } of places) bytes.set(diskLike(length, position), position)
  bytes.write('conectix', size - 512)
  return bytes
}

function target({ address }: AzureServer, blob = 'disk.vhd'): UploadTarget {
  const made = httpScheme.locate(address(blob)).upload?.()
  assert.ok(made)
  return made
}

/** Everything up to the footer; in pieces of another length each time. */
async function fill(upload: Upload, bytes: Buffer, step = mebibyte): Promise<void> {
  for (const { position, length } of places)
    for (let done = 0; done < length; done += step)
      await upload.write(position + done, bytes.subarray(position + done, position + Math.min(length, done + step)))
}

async function finish(upload: Upload, bytes: Buffer) {
  await upload.write(size - 512, bytes.subarray(size - 512))
  return await upload.commit(size)
}

const code = (expected: string) => (error: unknown) => {
  assert.ok(isImageError(error), String(error))
  assert.equal(error.code, expected, error.message)
  assert.doesNotMatch(withoutSecrets(`${error.message} ${error.hint ?? ''} ${String(error.cause)}`), /SEcRet/)
  return true
}

const plan = { size, most: size, replaces: undefined }

async function uploaded(t: TestContext, fault?: AzureFault): Promise<AzureServer> {
  const server = await azureServer(t)
  server.fault = fault
  const bytes = content()
  const upload = await target(server).begin(plan)
  await fill(upload, bytes)
  await finish(upload, bytes)
  const blob = server.blobs.get(name)
  assert.ok(blob)
  assert.ok(blob.content.equals(bytes))
  assert.equal(blob.lease, undefined)
  return server
}

test('azure: only what is written is sent, with checksums, and the footer last', async (t) => {
  const server = await uploaded(t)
  const { requests } = server
  const stored = places.reduce((sum, { length }) => sum + length, 0) + 512
  const pages = requests.filter(({ what }) => what === 'page')
  assert.equal(
    pages.reduce((sum, { length }) => sum + length, 0),
    stored,
  )
  const blob = server.blobs.get(name)
  assert.ok(blob)
  assert.equal(writtenSectors(blob) * 512, stored)
  assert.equal(pages.at(-1)?.headers['x-ms-range'], `bytes=${size - 512}-${size - 1}`)
  // 3 + 1 + 1 + 5 pieces, and the footer.
  assert.equal(pages.length, 11)
  assert.deepEqual(
    requests.filter(({ what }) => what !== 'page').map(({ method, what }) => `${method} ${what}`),
    ['PUT ', 'PUT lease acquire', 'PUT lease release'],
  )
})

test('azure: what passes is tried again', async (t) => {
  let [broken, busy, wrong] = [0, 0, 0]
  await uploaded(t, ({ what }, response, count) => {
    if (what === 'page' && count % 4 === 0 && broken++ < 3) {
      response.socket?.destroy()
      return true
    }
    if (what === 'page' && count % 4 === 1 && busy++ < 3) {
      response
        .writeHead([503, 429, 500][busy % 3] ?? 500, { 'Retry-After': '0', 'x-ms-error-code': 'ServerBusy' })
        .end()
      return true
    }
    if (what === 'page' && count % 4 === 2 && wrong++ < 2) {
      response.writeHead(400, { 'x-ms-error-code': 'Md5Mismatch' }).end()
      return true
    }
    // Done, and the answer is lost.
    return count === 1 || what === 'lease acquire' ? (count <= 3 ? 'after' : undefined) : undefined
  })
  assert.ok(broken > 0 && busy > 0 && wrong > 0)
})

test('azure: what stands there is not touched, and is replaced when that is wanted', async (t) => {
  const server = await uploaded(t)
  const before = server.blobs.get(name)
  await assert.rejects(target(server).begin(plan), code('E_EXISTS'))
  assert.equal(server.blobs.get(name), before)

  const standing = await target(server).look()
  assert.equal(standing?.size, size)
  assert.equal(await target(server, 'other.vhd').look(), undefined)
  // Another one by now.
  await assert.rejects(target(server).begin({ ...plan, replaces: { version: '"0x0"' } }), code('E_TARGET_CHANGED'))
  const bytes = content().fill(7, mebibyte, 2 * mebibyte)
  const upload = await target(server).begin({ ...plan, replaces: standing })
  await fill(upload, bytes)
  const made = await finish(upload, bytes)
  assert.ok(server.blobs.get(name)?.content.equals(bytes))
  assert.equal(await target(server).remove?.({ ...made, version: '"0x0"' }), false)
  assert.equal(await target(server).remove?.(made), true)
  assert.equal(server.blobs.size, 0)
})

test('azure: what fails is taken back, and nothing of others', async (t) => {
  const server = await azureServer(t)
  const bytes = content()
  const begun = async (save?: (state: unknown) => void): Promise<Upload> => {
    const upload = await target(server).begin({ ...plan, save })
    await fill(upload, bytes)
    return upload
  }
  assert.equal(await (await begun()).abort(), undefined)
  assert.equal(server.blobs.size, 0)

  // The server refuses everything at some time.
  const refused = await target(server).begin(plan)
  server.fault = ({ what }, response) => {
    if (what !== 'page') return undefined
    response.writeHead(503, { 'Retry-After': '0' }).end()
    return true
  }
  await assert.rejects(async () => {
    await fill(refused, bytes)
    await finish(refused, bytes)
  }, code('E_WRITE'))
  server.fault = undefined
  await refused.abort()
  assert.equal(server.blobs.size, 0)

  // Somebody else takes the lease: the blob is theirs.
  const lost = await target(server).begin(plan)
  await fill(lost, bytes)
  const blob = server.blobs.get(name)
  assert.ok(blob)
  blob.lease = 'of somebody else'
  await assert.rejects(finish(lost, bytes), code('E_TARGET_CHANGED'))
  assert.match((await lost.abort()) ?? '', /could not be removed/)
  assert.equal(server.blobs.get(name), blob)
  assert.equal(blob.content.toString('latin1', size - 512, size - 504), '\0'.repeat(8))
  server.blobs.clear()

  for (const [status, error, expected] of [
    [404, 'ContainerNotFound', 'E_NO_FOLDER'],
    [403, 'AuthorizationPermissionMismatch', 'E_WRITE_PERMISSION'],
    [400, 'InvalidHeaderValue', 'E_WRITE'],
  ] as const) {
    server.fault = (_request, response) => {
      response.writeHead(status, { 'x-ms-error-code': error }).end()
      return true
    }
    await assert.rejects(target(server).begin(plan), code(expected))
  }
})

test('azure: an upload is gone on with, and only where it is the same', async (t) => {
  const server = await azureServer(t)
  const bytes = content()
  let state: unknown
  let saved = (): void => undefined
  const firstState = new Promise<void>((resolve) => (saved = resolve))
  const save = (kept: unknown): void => {
    state = JSON.parse(JSON.stringify(kept))
    saved()
  }
  // Killed: nothing is taken back, and the lease stays.
  const killed = await target(server).begin({ ...plan, save })
  await fill(killed, bytes)
  await firstState
  const first = server.blobs.get(name)
  assert.ok(first?.lease)
  const { lease } = first

  const goesOn = async (from: Buffer, step: number): Promise<Upload> => {
    const upload = await target(server).begin({ ...plan, save, earlier: state })
    await fill(upload, from, step)
    await finish(upload, from)
    return upload
  }
  const others = Buffer.from(bytes)
  others[5 * mebibyte] = (others[5 * mebibyte] ?? 0) ^ 1
  await assert.rejects(goesOn(others, mebibyte), code('E_RESUME_SOURCE'))
  const { resumed = 0 } = await goesOn(bytes, 3 * 65536)
  assert.equal(server.blobs.get(name), first)
  assert.ok(first.content.equals(bytes))
  assert.ok(resumed >= 16 * mebibyte, String(resumed))
  const holder = server.requests.at(-1)?.headers['x-ms-lease-id']
  const again = server.requests.filter(({ what, headers }) => what === 'page' && headers['x-ms-lease-id'] === holder)
  assert.ok(again.reduce((sum, { length }) => sum + length, 0) <= bytes.length - resumed)
  // The one that was killed, and is not dead, can do nothing any more.
  await assert.rejects(finish(killed, bytes), code('E_TARGET_CHANGED'))
  assert.match((await killed.abort()) ?? '', /kept|removed/)
  assert.ok(first.content.equals(bytes))
  assert.notEqual(holder, lease)

  // Another blob by that name.
  server.blobs.set(name, { ...first, marks: {}, content: Buffer.from(bytes) })
  await assert.rejects(target(server).begin({ ...plan, save, earlier: state }), code('E_EXISTS'))
  // None.
  server.blobs.clear()
  const anew = await target(server).begin({ ...plan, save, earlier: state })
  assert.equal(anew.resumed, 0)
  await anew.abort()
})

test('azure: a disk that waits for its content is written where it is, and not removed', async (t) => {
  const server = await azureServer(t)
  const bytes = content()
  const managed = new PageBlobTarget(parseHttpAddress(server.address('disk.vhd')), true)
  const waiting = { marks: {}, version: 1, lease: undefined }
  server.blobs.set(name, { ...waiting, content: Buffer.alloc(size - 512), written: new Uint8Array(size / 512 - 1) })
  await assert.rejects(managed.begin(plan), code('E_TARGET_SIZE'))
  const blob = { ...waiting, content: Buffer.alloc(size), written: new Uint8Array(size / 512) }
  server.blobs.set(name, blob)
  assert.equal(await managed.look(), undefined)
  const failed = await managed.begin(plan)
  await fill(failed, bytes.fill(1, 0, 4096))
  assert.match((await failed.abort()) ?? '', /is no VHD/)
  const standing = await managed.look()
  assert.equal(standing?.size, size)
  const upload = await managed.begin({ ...plan, replaces: standing })
  assert.equal(writtenSectors(blob), 0)
  const again = content()
  await fill(upload, again)
  const made = await finish(upload, again)
  assert.ok(blob.content.equals(again))
  assert.equal(await managed.remove(made), false)
  assert.deepEqual(managed.next('azure-gen2')?.length, 1)
  assert.ok(server.requests.every(({ method, what }) => method !== 'DELETE' && !what.startsWith('lease')))
})

test('azure: lists of pages in parts, and those that cannot be right', async () => {
  const list = (text: string): string => `<?xml version="1.0" encoding="utf-8"?>\n<PageList>${text}</PageList>`
  const range = (start: number, last: number): string =>
    `<PageRange><Start>${start}</Start><End>${last}</End></PageRange>`
  const parts = [
    list(`${range(0, 511)}${range(512, 1023)}<NextMarker>a</NextMarker>`),
    list(`${range(1024, 2047)}<ClearRange><Start>2048</Start><End>4095</End></ClearRange>${range(4096, 8191)}`),
  ]
  const marks: (string | undefined)[] = []
  const runs = await pageList(8192, (mark) => {
    marks.push(mark)
    return Promise.resolve(parts[marks.length - 1] ?? '')
  })
  assert.deepEqual(marks, [undefined, 'a'])
  assert.deepEqual(runs, [
    { start: 0, end: 2048 },
    { start: 4096, end: 8192 },
  ])
  for (const wrong of [
    '',
    '<Error/>',
    list(range(512, 511)),
    list(range(0, 8192)),
    list(range(1024, 2047) + range(0, 511)),
    list('<PageRange><Start>x</Start><End>511</End></PageRange>'),
    list('<PageRange><End>511</End></PageRange>'),
    list('<NextMarker>for ever</NextMarker>'),
  ])
    await assert.rejects(
      pageList(8192, () => Promise.resolve(wrong)),
      SyntaxError,
      wrong,
    )
})

test('azure: what it cannot take is refused before anything is sent', async (t) => {
  const server = await azureServer(t)
  const image = { format: 'vhd', options: { subformat: 'fixed' }, isPlain: false }
  target(server).check?.(image)
  for (const wrong of [
    { ...image, options: { subformat: 'dynamic' } },
    { ...image, format: 'vhdx' },
    { ...image, format: 'raw', isPlain: true },
  ])
    assert.throws(() => target(server).check?.(wrong), code('E_TARGET'))
  await assert.rejects(target(server).begin({ ...plan, size: size + 512 }), code('E_SIZE'))
  assert.equal(server.requests.length, 0)
})
