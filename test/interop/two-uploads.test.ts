import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { convert, Registry, type ConvertOptions } from '../../src/index.js'
import { azureServer, blobName } from '../support/azure-server.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { hostileSftp } from '../support/hostile-sftp.js'
import { OciServer } from '../support/oci-server.js'
import { noS3, s3Registry } from '../support/s3-plugin.js'
import { S3Server } from '../support/s3-server.js'

const mebibyte = 1048576

interface Place {
  readonly address: string
  readonly options?: ConvertOptions
  readonly registry: Registry
  /** The disk that is there, as far as the source went; undefined where nothing is. */
  readonly there: () => Buffer | undefined
  /** What is unfinished there. */
  readonly unfinished: () => number
}

/** Sets the environment of this process until the test is over. */
function setEnvironment(t: TestContext, name: string, value: string): void {
  const before = process.env[name]
  process.env[name] = value
  t.after(() => {
    if (before === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = before
  })
}

/** One target of each kind. */
async function places(t: TestContext, folder: string, length: number): Promise<Readonly<Record<string, Place>>> {
  const there = join(folder, 'there')
  fs.mkdirSync(there)
  setEnvironment(t, 'VDISK_SSH', hostileSftp(folder))
  setEnvironment(t, 'XDG_STATE_HOME', join(folder, 'state'))
  const [azure, oci] = [await azureServer(t), await OciServer.start(t)]
  const s3 = noS3 === undefined ? await S3Server.start(t) : undefined
  const file = join(there, 'disk.raw')
  const own = new Registry()
  return {
    ssh: {
      address: `sftp://honest${file}`,
      registry: own,
      there: () => (fs.existsSync(file) ? fs.readFileSync(file) : undefined),
      unfinished: () => fs.readdirSync(there).filter((name) => name !== 'disk.raw').length,
    },
    azure: {
      address: azure.address('disk.vhd'),
      registry: own,
      there: () => {
        const { content } = azure.blobs.get(blobName('disk.vhd')) ?? {}
        // Without its footer it is no VHD.
        return content?.subarray(-512).includes('conectix') === true ? content.subarray(0, length) : undefined
      },
      unfinished: () => [...azure.blobs.values()].filter(({ lease }) => lease !== undefined).length,
    },
    oci: {
      address: oci.address(),
      registry: own,
      options: { to: 'raw' },
      there: () => {
        const manifest = oci.manifests.get(oci.tags.get('v1') ?? '')
        if (manifest === undefined) return undefined
        const { layers } = JSON.parse(manifest.bytes.toString()) as { layers: { digest: string }[] }
        return oci.blobs.get(layers[0]?.digest ?? '')?.subarray(1024, 1024 + length)
      },
      unfinished: () => oci.uploads.size,
    },
    ...(s3 === undefined
      ? {}
      : {
          s3: {
            address: 's3://bucket/disk.raw',
            registry: await s3Registry(t, s3.env),
            there: () => s3.objects.get('disk.raw')?.bytes,
            unfinished: () => s3.uploads.size,
          },
        }),
  }
}

/** What came of one run: `made`, or the code of its error. */
async function outcome(source: string, { address, options, registry }: Place, more: ConvertOptions): Promise<string> {
  try {
    await convert(source, address, { ...options, registry, ...more })
    return 'made'
  } catch (error) {
    if (!isImageError(error)) throw error
    return error.code
  }
}

test('two runs to one target: one makes it, and the other says why it does not', { skip: noS3 }, async (t) => {
  const folder = testFolder(t)
  const disk = Buffer.from(diskLike(12 * mebibyte, 81))
  const source = join(folder, 'disk')
  fs.writeFileSync(source, disk)
  for (const [scheme, place] of Object.entries(await places(t, folder, disk.length)))
    await t.test(scheme, async () => {
      // With --resume the second would write into what the first one has begun.
      const again = { resume: true, from: 'raw' }
      const resumed = await Promise.all([outcome(source, place, again), outcome(source, place, again)])
      assert.deepEqual(resumed.sort(), ['E_RESUME_BUSY', 'made'])
      assert.ok(place.there()?.equals(disk), 'the first is whole')
      assert.deepEqual(fs.readdirSync(join(folder, 'state/vdisk/resume')), [])
      assert.equal(place.unfinished(), 0)
    })
})

test(
  'two runs that know nothing of each other: what is there is whole, and of one of them',
  { skip: noS3 },
  async (t) => {
    const folder = testFolder(t)
    const disks = [82, 83].map((seed) => Buffer.from(diskLike(12 * mebibyte, seed)))
    const sources = disks.map((disk, index) => {
      const path = join(folder, `disk${index}`)
      fs.writeFileSync(path, disk)
      return path
    })
    for (const [scheme, place] of Object.entries(await places(t, folder, 12 * mebibyte)))
      await t.test(scheme, async () => {
        const ends = await Promise.all(sources.map((source) => outcome(source, place, { from: 'raw' })))
        const made = ends.filter((end) => end === 'made').length
        // A registry knows no conditions: of two that put the tag in one moment the later one has it.
        assert.ok(made === 1 || (scheme === 'oci' && made === 2), ends.join())
        for (const end of ends) assert.match(end, /^(?:made|E_EXISTS|E_TARGET_CHANGED)$/)
        const there = place.there()
        const of = disks.findIndex((disk) => there?.equals(disk) === true)
        assert.ok(of >= 0, 'it is whole')
        assert.equal(ends[of], 'made')
        assert.equal(place.unfinished(), 0)
      })
  },
)
