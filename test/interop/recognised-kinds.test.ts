import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import type { Filesystem } from '../../src/filesystem/types.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { openStore } from '../../src/formats/open.js'
import { usedOnly } from '../../src/operations/transfer/used-only.js'
import { testFolder } from '../support/folder.js'
import { filesystemVolumes, raidVolumes, tuxOnIce, type SignedVolume } from '../support/signed-volumes.js'
import { have, run } from '../support/tools.js'

function identified(bytes: Uint8Array): readonly Filesystem[] {
  return identifyFilesystems(openStore(new MemoryStore(bytes), undefined, { from: 'raw' }))
}

/** What blkid says of a file, by name; empty where it knows nothing. */
function blkid(path: string): Map<string, string> {
  const { stdout, stderr, status } = spawnSync('blkid', ['-p', '-o', 'export', path], { encoding: 'utf8' })
  assert.ok(status === 0 || status === 2, `${path}: blkid ends with ${status ?? 'a signal'}: ${stderr}`)
  return new Map(
    stdout
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).replaceAll('\\', '')]),
  )
}

/** What vdisk says, by blkid's names. An old blkid leaves out some: those are not compared. */
function ours({ type, label, uuid, version, blockSize, facts }: Filesystem, reported: Map<string, string>): object {
  const fact = (name: string): unknown => facts.find((each) => each.name === name)?.value
  const optional = (name: string, value: unknown): object => (reported.has(name) ? { [name]: value } : {})
  return {
    TYPE: type,
    LABEL: label,
    UUID: uuid,
    ...optional('VERSION', version?.trim()),
    ...optional('BLOCK_SIZE', String(blockSize)),
    ...optional('UUID_SUB', fact('volumeUuid')),
    ...optional('LOGUUID', fact('logUuid')),
  }
}

function compare(t: TestContext, volumes: readonly SignedVolume[]): void {
  const folder = testFolder(t)
  const differences: unknown[] = []
  for (const { name, bytes } of volumes) {
    const path = join(folder, 'volume')
    fs.writeFileSync(path, bytes)
    const reported = blkid(path)
    const found = identified(bytes)
    const [only] = found
    const mine = only === undefined || found.length > 1 ? { found } : ours(only, reported)
    const theirs = Object.fromEntries(
      ['TYPE', 'LABEL', 'UUID', 'VERSION', 'BLOCK_SIZE', 'UUID_SUB', 'LOGUUID'].map((key) => [key, reported.get(key)]),
    )
    if (!isDeepStrictEqual(JSON.parse(JSON.stringify(mine)), JSON.parse(JSON.stringify(theirs))))
      differences.push({ name, vdisk: mine, blkid: theirs })
    assert.deepEqual(only?.issues, [], name)
  }
  assert.deepEqual(differences, [])
}

test('filesystems and containers that are only named are named as blkid does', (t) => {
  if (have(t, 'blkid')) compare(t, filesystemVolumes())
})

test('members of BIOS RAID are named as blkid does', (t) => {
  if (have(t, 'blkid')) compare(t, raidVolumes())
})

test('what mkfs makes of cramfs, Minix and BFS is named as blkid does', (t) => {
  if (!['blkid', 'mkfs.cramfs', 'mkfs.minix', 'mkfs.bfs'].every((program) => have(t, program))) return
  const folder = testFolder(t)
  const made = (name: string, make: (path: string) => void): SignedVolume => {
    const path = join(folder, name)
    fs.writeFileSync(path, '')
    fs.truncateSync(path, 4 * 1048576)
    make(path)
    return { name, bytes: fs.readFileSync(path) }
  }
  fs.mkdirSync(join(folder, 'files'))
  fs.writeFileSync(join(folder, 'files', 'a'), 'content')
  const cramfs = (order: string) => (path: string) =>
    void run('mkfs.cramfs', '-n', 'crammed', '-N', order, join(folder, 'files'), path)
  const minix = (version: string) => (path: string) => void run('mkfs.minix', version, path)
  const volumes = [
    made('cramfs', cramfs('little')),
    made('cramfs, big-endian', cramfs('big')),
    made('minix1', minix('-1')),
    made('minix2', minix('-2')),
    made('minix3', minix('-3')),
    made('bfs', (path) => void run('mkfs.bfs', path)),
  ]
  compare(t, volumes)
  const damaged = Buffer.from(volumes[0]!.bytes)
  damaged.writeUInt8(damaged.readUInt8(90) + 1, 90)
  assert.deepEqual(
    identified(damaged)[0]?.issues.map(({ code }) => code),
    ['E_FS_CHECKSUM'],
  )
})

test('swap areas in which a system sleeps are never dropped', async () => {
  const asleep = [
    { name: 'TuxOnIce', bytes: tuxOnIce() },
    ...filesystemVolumes().filter(({ name }) => /SUSPEND|LINHIB/.test(name)),
  ]
  assert.ok(asleep.length === 9)
  for (const { name, bytes } of asleep) {
    const disk = openStore(new MemoryStore(bytes), undefined, { from: 'raw' })
    assert.equal(identifyFilesystems(disk)[0]?.state, 'hibernated', name)
    await assert.rejects(usedOnly(disk, { dropSwap: true }), { code: 'E_FS_DIRTY', kind: 'refused' }, name)
    for (const ifDirty of ['whole', 'trust'] as const) {
      const { volumes } = await usedOnly(disk, { dropSwap: true, ifDirty })
      assert.equal(volumes[0]?.read, bytes.length, `${name} ${ifDirty}`)
    }
  }
  // The head of the area is damaged, and the system sleeps nevertheless.
  const headless = tuxOnIce()
  headless.fill(0, 1024, 2048)
  const [found] = identified(headless)
  assert.deepEqual([found?.type, found?.state], ['swsuspend', 'hibernated'])
  assert.ok(found !== undefined && !('usedRuns' in found))
})

test('where its last sectors are overwritten, a disk is no member of BIOS RAID', () => {
  for (const { name, bytes } of raidVolumes()) {
    if (name === 'HighPoint 37x') continue
    const copy = Buffer.from(bytes)
    copy.fill(0x11, copy.length - 4000 * 512)
    assert.deepEqual(identified(copy), [], name)
  }
})

test('a FAT in which Windows sleeps is not clean', (t) => {
  if (!['mkfs.vfat', 'mcopy'].every((program) => have(t, program))) return
  const folder = testFolder(t)
  const path = join(folder, 'fat')
  const states = ['hibr', 'wake'].map((mark) => {
    fs.writeFileSync(path, '')
    fs.truncateSync(path, 40 * 1048576)
    run('mkfs.vfat', '-F', '32', path)
    fs.writeFileSync(join(folder, 'HIBERFIL.SYS'), mark.padEnd(8192, '\0'))
    run('mcopy', '-i', path, join(folder, 'HIBERFIL.SYS'), '::')
    return identified(fs.readFileSync(path))[0]?.state
  })
  assert.deepEqual(states, ['hibernated', 'clean'])
})
