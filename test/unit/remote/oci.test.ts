import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { parseChallenge } from '../../../src/remote/oci/challenge.js'
import { ociOptionsOf } from '../../../src/remote/oci/environment.js'
import type { IndexEntry } from '../../../src/remote/oci/manifest.js'
import { chooseImage } from '../../../src/remote/oci/platform.js'
import { OrderedDigest } from '../../../src/remote/oci/ordered-digest.js'
import { parseOciReference, repositoryUrl } from '../../../src/remote/oci/reference.js'
import type { Label } from '../../../src/errors.js'

const hex = 'a'.repeat(64)

test('oci: addresses, and where their registries are asked', () => {
  const urls: readonly (readonly [address: string, url: string, version: string])[] = [
    ['oci://registry.example/team/debian:12', 'https://registry.example/v2/team/debian/', '12'],
    ['docker://localhost:5000/vm', 'http://localhost:5000/v2/vm/', 'latest'],
    ['oci://127.0.0.1:5000/vm', 'http://127.0.0.1:5000/v2/vm/', 'latest'],
    ['oci://[::1]:5000/vm', 'http://[::1]:5000/v2/vm/', 'latest'],
    ['oci://docker.io/debian', 'https://registry-1.docker.io/v2/library/debian/', 'latest'],
    ['OCI://Quay.IO/a/b__c-d.e:x', 'https://quay.io/v2/a/b__c-d.e/', 'x'],
    [`oci://plain.example/vm@sha256:${hex}`, 'http://plain.example/v2/vm/', `sha256:${hex}`],
    [`oci://plain.example:1/vm:tag@sha256:${hex}`, 'http://plain.example:1/v2/vm/', `sha256:${hex}`],
    ['oci://127.example/vm', 'https://127.example/v2/vm/', 'latest'],
  ]
  for (const [address, url, version] of urls) {
    const reference = parseOciReference(address)
    assert.equal(repositoryUrl(reference, ['localhost', 'plain.example']), url)
    assert.equal(reference.digest ?? reference.tag, version)
  }
  assert.equal(repositoryUrl(parseOciReference('oci://localhost/vm'), []), 'https://localhost/v2/vm/')
  assert.equal(parseOciReference('oci://a.example/vm:1@disk=b.img').member, 'b.img')
  for (const wrong of [
    'oci://',
    'oci://registry.example',
    'oci://debian/12',
    'oci://registry.example/Upper',
    'oci://registry.example/a//b',
    'oci://registry.example/../b',
    'oci://registry.example/a/',
    'oci://registry.example/a?x=1',
    'oci://registry.example/a:',
    'oci://registry.example/a:-x',
    'oci://registry.example/a@sha256:12',
    'oci://registry.example/a@md5:12',
    'oci://registry.example:99999/a',
    'oci://registry.example:0/a',
    'oci://-x.example/a',
    'oci://ann:secret@registry.example/a',
  ])
    assert.throws(
      () => parseOciReference(wrong),
      ({ code }: { readonly code?: string }) => code === 'E_OCI_URL',
      wrong,
    )
})

test('oci: the environment', () => {
  assert.deepEqual(ociOptionsOf({ HOME: '/h' }).authFiles, [
    '/h/.config/containers/auth.json',
    '/h/.docker/config.json',
  ])
  assert.deepEqual(ociOptionsOf({ HOME: '/h', REGISTRY_AUTH_FILE: '/x' }).authFiles, ['/x'])
  assert.deepEqual(ociOptionsOf({ VDISK_OCI_HTTP: 'A.example, b:5' }).plain, ['a.example', 'b:5'])
  assert.throws(() => ociOptionsOf({ VDISK_OCI_PLATFORM: 'arm64' }), /linux\/amd64/)
})

test('oci: challenges', () => {
  const bearer = {
    kind: 'bearer',
    realm: 'https://a.example/token',
    service: 'a, "b"',
    scope: 'repository:x:pull,push',
  }
  for (const [header, expected] of [
    [undefined, undefined],
    ['', undefined],
    ['Negotiate', undefined],
    ['Basic realm="x"', { kind: 'basic' }],
    ['basic', { kind: 'basic' }],
    ['Bearer service="x"', undefined],
    ['Bearer realm="https://a.example/token",service="a, \\"b\\"",scope="repository:x:pull,push"', bearer],
    ['Basic realm="x", Bearer realm=https://a.example/token', { ...bearer, service: undefined, scope: undefined }],
    [`Bearer ${'x'.repeat(10_000)}`, undefined],
  ] as const)
    assert.deepEqual(parseChallenge(header), expected, header)
})

test('oci: a digest of pieces that come in any order', () => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 7) % 251))
  const right = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  for (let round = 0; round < 200; round++) {
    const digest = new OrderedDigest(round % 2 === 0 ? right : `sha256:${hex}`, bytes.length)
    let wrong = false
    for (let step = 0; digest.gaps() !== undefined; step++) {
      assert.ok(step < 2000)
      // Pieces overlap, and come twice.
      const start = (round * 131 + step * step * 37 + step * 91) % 1000
      wrong = digest.take(start, bytes.subarray(start, start + 1 + ((step * 53) % 90)))
      const [gap] = step > 100 ? (digest.gaps() ?? []) : []
      if (gap !== undefined) wrong = digest.take(gap.start, bytes.subarray(gap.start, gap.end))
    }
    assert.equal(wrong, round % 2 === 1)
    assert.equal(digest.isWrong, wrong)
  }
  // What is kept is limited: then it is not known.
  const large = new OrderedDigest(right, 2 ** 40)
  const piece = new Uint8Array(32 * 1024 * 1024)
  for (let count = 0; count < 4; count++) large.take(2 ** 32 + count * 2 ** 30, piece)
  assert.equal(large.gaps(), undefined)
  assert.equal(large.isWrong, false)
})

test('oci: the image that is meant of several', () => {
  const entry = (platform: string | undefined, name: string): IndexEntry => ({
    mediaType: 'x',
    digest: name,
    size: 1,
    annotations: name.startsWith('disk') ? { disktype: name } : {},
    isForeign: false,
    platform,
  })
  const label = 'oci://a/b' as Label
  const all = [entry('linux/amd64', 'a'), entry('linux/arm64/v8', 'b'), entry('unknown/unknown', 'c')]
  const chosen = (entries: readonly IndexEntry[], wanted?: string, processor = 's390x') =>
    chooseImage(entries, { label, wanted, processor }).digest
  assert.equal(chosen(all), 'a')
  assert.equal(chosen(all, undefined, 'arm64'), 'b')
  assert.equal(chosen(all, 'linux/arm64'), 'b')
  assert.equal(chosen([entry(undefined, 'd'), entry('unknown/unknown', 'c')]), 'd')
  assert.throws(() => chosen(all, 'windows/amd64'), /no image for windows\/amd64; it lists linux\/amd64 @a, linux/)
  assert.throws(() => chosen([]), /lists no image/)
  const kinds = [entry('linux/amd64', 'disk1'), entry('linux/amd64', 'disk2')]
  assert.throws(() => chosen(kinds), /several images for linux\/amd64; it lists linux\/amd64 \(disk1\) @disk1, /)
})
