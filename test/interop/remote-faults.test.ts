import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { convert, Registry } from '../../src/index.js'
import { azureServer, blobName } from '../support/azure-server.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { faultProxy, say, type Passing, type PassingFault } from '../support/fault-proxy.js'
import { faultServer } from '../support/fault-server.js'
import { testFolder } from '../support/folder.js'
import { layerOf, layerType } from '../support/oci-layers.js'
import { OciServer } from '../support/oci-server.js'
import { noS3, S3Cli, s3Registry } from '../support/s3-plugin.js'
import { S3Server } from '../support/s3-server.js'

/**
 * One server with faults for every scheme that speaks HTTP: it stands before a sound server of each, so that the same
 * fault is met by each scheme, and each must end in the right bytes or in the right error.
 */

const mebibyte = 1048576
const content = Buffer.from(diskLike(36 * mebibyte, 91))

type Fault = (passing: Passing) => PassingFault | undefined

/** A server of one scheme behind the faults. */
interface Behind {
  readonly address: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether the disk is there, and as it should be. */
  readonly isThere: () => boolean
  /** What is there, of whatever. */
  readonly left: () => number
}

type Begin = (t: TestContext, folder: string, fault: Fault, holds: boolean) => Promise<Behind>

const schemes: Readonly<Record<string, Begin>> = {
  http: async (t, _folder, fault) => {
    const { url } = await faultServer(t, () => content)
    return { address: `${await faultProxy(t, url, fault)}/disk.raw`, env: {}, isThere: () => true, left: () => 0 }
  },
  s3: async (t, folder, fault, holds) => {
    const server = await S3Server.start(t)
    if (holds) server.objects.set('disk.raw', { bytes: content, tag: 'image' })
    const proxy = await faultProxy(t, server.env['AWS_ENDPOINT_URL'] ?? '', fault)
    return {
      address: 's3://bucket/disk.raw',
      env: new S3Cli(folder, { ...server.env, AWS_ENDPOINT_URL: proxy }).env,
      isThere: () => server.objects.get('disk.raw')?.bytes.equals(content) === true,
      left: () => server.objects.size + server.uploads.size,
    }
  },
  azure: async (t, folder, fault, holds) => {
    const server = await azureServer(t)
    const address = new URL(server.address('disk.vhd'))
    if (holds) {
      fs.writeFileSync(join(folder, 'azure'), content)
      await convert(join(folder, 'azure'), address.href, { from: 'raw' })
    }
    const proxy = new URL(await faultProxy(t, address.origin, fault))
    address.host = proxy.host
    const blob = (): Buffer | undefined => server.blobs.get(blobName('disk.vhd'))?.content
    return {
      address: address.href,
      env: {},
      isThere: () => blob()?.subarray(0, content.length).equals(content) === true,
      left: () => server.blobs.size,
    }
  },
  oci: async (t, _folder, fault, holds) => {
    const server = await OciServer.start(t)
    if (holds) server.put([{ mediaType: layerType, bytes: layerOf([['disk/disk.img', content]]) }])
    const proxy = new URL(await faultProxy(t, `http://${server.host}`, fault))
    const layer = (): Buffer | undefined => [...server.blobs.values()].find(({ length }) => length > content.length)
    return {
      address: `oci://${proxy.host}/vm/disk:v1`,
      env: {},
      isThere: () => server.tags.size === 1 && layer()?.includes(content.subarray(-mebibyte)) === true,
      left: () => server.tags.size + server.uploads.size,
    }
  },
}

const begins = Object.entries(schemes).filter(([scheme]) => scheme !== 's3' || noS3 === undefined)

/** A request for data, behind what is asked for first. */
const isData = ({ method, headers }: Passing): boolean =>
  method === 'GET' && headers.range !== undefined && !headers.range.startsWith('bytes=0-')

/** Faults of an answer that pass. */
const passingAnswers: Readonly<Record<string, PassingFault>> = {
  cut: {
    answer: ({ status, headers, body }, response) => {
      response.writeHead(status, headers).write(body.subarray(0, 1000))
      setTimeout(() => response.destroy(), 5)
    },
  },
  broken: { instead: (response) => void response.destroy() },
  500: { instead: (response) => void response.writeHead(500).end('oh') },
  429: { instead: (response) => void response.writeHead(429, { 'Retry-After': '0' }).end() },
  slow: { answer: (given, response) => void setTimeout(() => say(given, response), 50) },
}

test('what goes wrong in any scheme and passes ends in the right bytes', { concurrency: 2 }, async (t) => {
  await Promise.all(
    begins.map(([scheme, begin]) =>
      t.test(scheme, async (subtest) => {
        const folder = testFolder(subtest)
        const ends = new Set<string>()
        const met = new Set<string>()
        const { address, env } = await begin(
          subtest,
          folder,
          (passing) => {
            // What is left of a range ends where it did.
            const end = /\d+$/.exec(passing.headers.range ?? '')?.[0] ?? ''
            if (!isData(passing) || ends.has(end)) return undefined
            ends.add(end)
            const names = Object.keys(passingAnswers)
            const name = names[ends.size % names.length] ?? ''
            met.add(name)
            return passingAnswers[name]
          },
          true,
        )
        const { code, stderr } = await vdisk(['convert', address, 'out.raw', '--to', 'raw'], { cwd: folder, env })
        assert.equal(code, 0, stderr)
        assert.ok(fs.readFileSync(join(folder, 'out.raw')).subarray(0, content.length).equals(content))
        assert.deepEqual([...met].sort(), Object.keys(passingAnswers).sort())
      }),
    ),
  )
})

/** Faults that do not pass, and how they are reported. */
const lasting: Readonly<Record<string, readonly [fault: PassingFault, message: RegExp]>> = {
  'another version': [
    {
      answer: ({ headers, ...given }, response) => say({ ...given, headers: { ...headers, etag: '"two"' } }, response),
    },
    /has changed on its server/,
  ],
  'another range': [
    {
      answer: ({ headers, ...given }, response) =>
        say({ ...given, headers: { ...headers, 'content-range': 'bytes 5-9/99999999' } }, response),
    },
    /has changed on its server|the server sends others/,
  ],
  'all of it': [{ without: ['range'] }, /has changed on its server/],
  silence: [{ instead: () => undefined }, /does not answer \(5 tries\)/],
}

test('what goes wrong in any scheme and stays wrong is reported, and makes nothing', { concurrency: 2 }, async (t) => {
  await Promise.all(
    begins.flatMap(([scheme, begin]) =>
      Object.entries(lasting).map(([name, [fault, message]]) =>
        t.test(`${scheme}: ${name}`, async (subtest) => {
          const folder = testFolder(subtest)
          const { address, env } = await begin(
            subtest,
            folder,
            (passing) => (isData(passing) ? fault : undefined),
            true,
          )
          const { code, stderr } = await vdisk(['convert', address, 'out.raw', '--to', 'raw'], {
            cwd: folder,
            env: { ...env, VDISK_HTTP_TIMEOUT: name === 'silence' ? '1' : undefined },
          })
          assert.equal(code, 4, stderr)
          assert.match(stderr, message)
          assert.deepEqual(
            fs.readdirSync(folder).filter((left) => left.includes('out.raw')),
            [],
          )
        }),
      ),
    ),
  )
})

/** Requests that send a part of the image. */
const isPart = ({ method, body }: Passing): boolean => method !== 'GET' && body.length > 65536

const passingUploads: Readonly<Record<string, PassingFault>> = {
  broken: { instead: (response) => void response.destroy() },
  500: { instead: (response) => void response.writeHead(500).end() },
  429: { instead: (response) => void response.writeHead(429, { 'Retry-After': '0' }).end() },
  // It was done, and nobody hears of it.
  lost: { answer: (_given, response) => void response.destroy() },
  slow: { answer: (given, response) => void setTimeout(() => say(given, response), 50) },
}

/** Uploads the disk. @returns the code of the error, or `made`. */
async function uploaded(t: TestContext, folder: string, { address, env }: Behind): Promise<string> {
  const source = join(folder, 'disk')
  fs.writeFileSync(source, content)
  const registry = address.startsWith('s3:') ? await s3Registry(t, env) : new Registry()
  const to = address.startsWith('oci:') ? 'raw' : undefined
  try {
    await convert(source, address, { registry, from: 'raw', to })
    return 'made'
  } catch (error) {
    if (!isImageError(error)) throw error
    return error.code
  }
}

for (const [scheme, begin] of begins.filter(([name]) => name !== 'http'))
  test(`${scheme}: an upload through faults is the right image, or an error that leaves nothing`, async (t) => {
    const folder = testFolder(t)
    for (const [name, fault] of Object.entries(passingUploads)) {
      // The first and the third part meet it.
      let parts = 0
      const behind = await begin(
        t,
        testFolder(t),
        (passing) => (isPart(passing) && [1, 3].includes(++parts) ? fault : undefined),
        false,
      )
      assert.equal(await uploaded(t, folder, behind), 'made', name)
      assert.ok(behind.isThere(), name)
      assert.ok(parts >= 2, `${parts} parts`)
    }
    const always = answersAlways(500)
    const behind = await begin(t, testFolder(t), (passing) => (isPart(passing) ? always : undefined), false)
    assert.equal(await uploaded(t, folder, behind), 'E_WRITE')
    assert.equal(behind.left(), 0)
  })

function answersAlways(status: number): PassingFault {
  return { instead: (response) => void response.writeHead(status, { 'Retry-After': '0' }).end() }
}
