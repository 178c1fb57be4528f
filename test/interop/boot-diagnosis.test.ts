import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { masterBootCode } from '../../src/operations/inspect/boot/code.js'
import { inspect } from '../../src/operations/inspect/inspect.js'
import { bootableDisk, haveBootLoaders, syslinuxCode } from '../support/bootable-disk.js'
import { scratch } from '../support/tools.js'
import { haveAll } from '../support/volumes.js'

test('the boot loaders of a distribution are recognised', async (t) => {
  if (!haveBootLoaders(t) || !haveAll(t, 'sgdisk', 'mkfs.vfat', 'mcopy', 'mke2fs')) return
  const disk = bootableDisk(scratch(t))
  const { boot, operatingSystem } = await inspect(disk, { from: 'raw' })
  assert.deepEqual(
    [boot.firmware, boot.bootCode.kind, boot.biosBoot, boot.systemPartitions, boot.problems],
    ['both', 'grub', [1], [2], []],
  )
  assert.deepEqual(boot.grubCore, { position: 1048576, found: true, partition: 1 })
  assert.deepEqual(
    boot.loaders.map(({ path, kind, cpu, fallback, fault }) => [path, kind, cpu, fallback, fault]),
    [
      ['/EFI/BOOT/BOOTX64.EFI', 'shim', 'x86-64', true, undefined],
      ['/EFI/debian/grubx64.efi', 'grub', 'x86-64', false, undefined],
      ['/EFI/debian/shimx64.efi', 'shim', 'x86-64', false, undefined],
      ['/EFI/systemd/systemd-bootx64.efi', 'systemd-boot', 'x86-64', false, undefined],
    ],
  )
  assert.deepEqual(
    boot.configurations.map(({ partition, kind, path }) => [partition, kind, path]),
    [
      [2, 'systemd-boot', '/loader/loader.conf'],
      [2, 'grub', '/EFI/debian/grub.cfg'],
      [2, 'systemd-boot', '/loader/entries/debian.conf'],
      [3, 'grub', '/boot/grub/grub.cfg'],
    ],
  )
  assert.equal(operatingSystem.looksLike, 'Debian GNU/Linux 12 (bookworm)')
  assert.deepEqual(
    operatingSystem.found.map(({ partition, id, version, by }) => [partition, id, version, by]),
    [[3, 'debian', '12', 'files']],
  )
  // Without the core GRUB stops, and without BOOTX64.EFI firmware needs an entry.
  const descriptor = fs.openSync(disk, 'r+')
  fs.writeSync(descriptor, new Uint8Array(1048576), 0, 1048576, 1048576)
  fs.closeSync(descriptor)
  const broken = await inspect(disk, { from: 'raw' })
  assert.equal(broken.boot.firmware, 'uefi')
  assert.match(
    broken.boot.reasons.join('\n'),
    /the rest of GRUB is not at sector 2048 \(in partition 1 \(BIOS boot\)\)/,
  )
})

test('the boot code of syslinux', (t) => {
  if (!haveBootLoaders(t)) return
  for (const [kind, continues] of [
    ['mbr', 'active'],
    ['gptmbr', 'legacy'],
  ] as const) {
    const sector = Buffer.alloc(512)
    syslinuxCode(kind).copy(sector)
    sector.writeUInt16LE(0xaa55, 510)
    const code = masterBootCode(sector)
    assert.deepEqual([code.kind, code.continues], ['syslinux', continues])
  }
})
