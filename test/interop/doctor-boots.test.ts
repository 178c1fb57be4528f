/**
 * QEMU agrees with doctor: what is ready or mended reaches its root, what is blocked does not. VDISK_GUEST_ROOT names
 * the root of a Debian system, as debootstrap makes it (docs/doctor.md); each start takes a minute without hardware
 * virtualisation. VDISK_GUEST_CASES: words of the cases that run.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, test, type TestContext } from 'node:test'
import { doctor, type DoctorResult } from '../../src/operations/doctor/doctor.js'
import { mendGuest } from '../../src/operations/doctor/mending/mend.js'
import { bootDisk, GuestRoot, ids, makings, moduleArchive, reachesRoot, type BootGuest } from '../support/boot-guest.js'
import { bios, emulator, haveUefi } from '../support/boots.js'
import { loopsMissing } from '../support/loop.js'
import { have, run, scratch } from '../support/tools.js'

const guestRoot = process.env['VDISK_GUEST_ROOT']
const words = (process.env['VDISK_GUEST_CASES'] ?? '').split(' ').filter((word) => word !== '')

interface Case {
  readonly name: string
  readonly guest: BootGuest
  /** What doctor is asked about, and what it says. */
  readonly platform: string
  readonly verdict: DoctorResult['verdict']
  readonly blocks?: readonly string[]
  /** How it is started: firmware and controller. */
  readonly starts: readonly (readonly ['bios' | 'uefi', string])[]
  /** The firmware has no driver for the controller: Debian's OVMF for none of SCSI but virtio. */
  readonly unseen?: boolean
  /** Its disk gets new ids before. */
  readonly newIds?: boolean
}

const byUuid = `UUID=${ids.root}`
const mapped = '/dev/mapper/vg-root'
const { tools, dracut, noVirtio, noXfs } = makings

/** With the drivers of several controllers; each alone, so that one says nothing of another. */
const onControllers = (
  [
    ['bios', 'lsilogic'],
    ['bios', 'pvscsi'],
    ['bios', 'megasas'],
    ['bios', 'lsisas1068'],
    ['uefi', 'lsilogic'],
    ['uefi', 'pvscsi'],
    ['uefi', 'nvme'],
  ] as const
).map((start): Case => ({
  name: `${start.join(', ')}: ext4, initramfs-tools`,
  guest: { filesystem: 'ext4', making: tools, root: byUuid },
  platform: 'vmware',
  verdict: 'ready',
  unseen: start[0] === 'uefi' && start[1] !== 'nvme',
  starts: [start],
}))

const sound: readonly Case[] = [
  {
    name: 'ext4, initramfs-tools',
    guest: { filesystem: 'ext4', making: tools, root: byUuid },
    platform: 'qemu',
    verdict: 'ready',
    starts: [
      ['bios', 'virtio'],
      ['uefi', 'virtio'],
      ['bios', 'sata'],
    ],
  },
  ...onControllers,
  {
    name: 'a whole Debian with systemd',
    guest: { filesystem: 'ext4', systemd: true, making: tools, root: byUuid },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  },
  {
    name: 'xfs, dracut',
    guest: { filesystem: 'xfs', making: dracut, root: byUuid },
    platform: 'vmware',
    verdict: 'ready',
    starts: [['uefi', 'sata']],
  },
  {
    name: 'btrfs, initramfs-tools',
    guest: { filesystem: 'btrfs', making: tools, root: byUuid },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  },
  {
    name: 'ext4 on LVM, dracut',
    guest: { filesystem: 'ext4', logical: true, making: dracut, root: mapped },
    platform: 'qemu',
    verdict: 'ready',
    starts: [['bios', 'virtio']],
  },
  {
    name: 'xfs on LVM, initramfs-tools',
    guest: { filesystem: 'xfs', logical: true, making: tools, root: mapped },
    platform: 'virtualbox',
    verdict: 'ready',
    starts: [['uefi', 'sata']],
  },
  {
    name: 'btrfs on LVM, dracut',
    guest: { filesystem: 'btrfs', logical: true, making: dracut, root: mapped },
    platform: 'aws-snapshot',
    verdict: 'ready',
    starts: [['uefi', 'nvme']],
  },
]

const spoilt: readonly Case[] = [
  {
    name: 'no virtio in the initramfs',
    guest: { filesystem: 'ext4', making: noVirtio, root: byUuid },
    platform: 'qemu',
    verdict: 'blocked',
    blocks: ['L-INITRD-DRIVER'],
    starts: [['bios', 'virtio']],
  },
  {
    name: 'no virtio, where it is not needed',
    guest: { filesystem: 'ext4', making: noVirtio, root: byUuid },
    platform: 'virtualbox',
    verdict: 'ready',
    starts: [['bios', 'sata']],
  },
  {
    name: 'no xfs in the initramfs',
    guest: { filesystem: 'xfs', making: noXfs, root: byUuid },
    platform: 'qemu',
    verdict: 'blocked',
    blocks: ['L-INITRD-FILESYSTEM'],
    starts: [['bios', 'virtio']],
  },
  {
    name: 'a root that is gone',
    guest: { filesystem: 'ext4', making: tools, root: `UUID=${ids.absent}` },
    platform: 'qemu',
    verdict: 'mendable',
    blocks: ['L-ROOT-ABSENT'],
    starts: [['bios', 'virtio']],
  },
  {
    name: 'a device name that the platform has not',
    guest: { filesystem: 'xfs', making: dracut, root: '/dev/sda4' },
    platform: 'aws-snapshot',
    verdict: 'mendable',
    blocks: ['L-ROOT-DEVICE'],
    starts: [['uefi', 'nvme']],
  },
  {
    name: 'a PARTUUID after new ids',
    guest: { filesystem: 'btrfs', making: tools, root: `PARTUUID=${ids.part}` },
    platform: 'virtualbox',
    verdict: 'mendable',
    blocks: ['L-ROOT-ABSENT'],
    newIds: true,
    starts: [['bios', 'sata']],
  },
  {
    name: 'a logical volume that is not there',
    guest: { filesystem: 'ext4', logical: true, making: dracut, root: '/dev/mapper/vg-old' },
    platform: 'qemu',
    verdict: 'mendable',
    blocks: ['L-ROOT-ABSENT'],
    starts: [['bios', 'virtio']],
  },
  {
    name: 'no loader',
    guest: { filesystem: 'ext4', making: tools, root: byUuid, without: 'loader' },
    platform: 'qemu',
    verdict: 'blocked',
    blocks: ['F-NO-LOADER'],
    starts: [['uefi', 'virtio']],
  },
  {
    name: 'no kernel',
    guest: { filesystem: 'ext4', making: tools, root: byUuid, without: 'kernel' },
    platform: 'qemu',
    verdict: 'blocked',
    blocks: ['L-KERNEL-ABSENT'],
    starts: [['bios', 'virtio']],
  },
]

/** The table for docs/doctor.md. */
const rows: string[] = []

async function proves(t: TestContext, guest: GuestRoot, one: Case): Promise<void> {
  const missing = loopsMissing()
  const uefi = haveUefi(t)
  if (missing !== undefined || uefi === undefined || !have(t, emulator)) return
  const at = scratch(t)
  const disk = bootDisk(t, at, guest, one.guest)
  if (one.newIds === true) run('sgdisk', '-G', disk)
  const { verdict, findings, notLooked } = await doctor(disk, { for: one.platform })
  const blocking = findings.filter(({ severity }) => severity === 'blocks').map(({ id }) => id)
  assert.deepEqual(blocking, one.blocks ?? [], JSON.stringify(findings))
  assert.equal(verdict, one.verdict, JSON.stringify({ findings, notLooked }))
  for (const [kind, controller] of one.starts) {
    const firmware = kind === 'bios' ? bios : uefi
    const log = (what: string, reached: boolean): void => {
      const said = [what, ...(what === 'mended' ? [] : blocking)].join(' ')
      const row = `| ${[one.name, said, `${kind}, ${controller}: ${reached ? '' : 'not '}reached`].join(' | ')} |`
      rows.push(row)
      t.diagnostic(row)
    }
    const { reached, shown } = await reachesRoot(at, disk, firmware, controller)
    log(verdict, reached)
    assert.equal(reached, verdict === 'ready' && one.unseen !== true, `${one.name}: ${kind}, ${controller}: ${shown}`)
    if (one.unseen === true) assert.match(shown, /No mapping found|No bootable/)
    if (verdict !== 'mendable') continue
    const mended = at('mended.raw')
    fs.rmSync(mended, { force: true })
    assert.equal((await mendGuest(disk, { for: one.platform, output: mended })).verdict, 'ready')
    const then = await reachesRoot(at, mended, firmware, controller)
    log('mended', then.reached)
    assert.ok(then.reached, `${one.name}: ${kind}, ${controller}, mended: ${then.shown}`)
  }
}

/** Long proofs, run by hand: they are tests only where there is a guest. */
if (guestRoot !== undefined) {
  after(() => process.stderr.write(`${['', '| guest | doctor | QEMU |', '| --- | --- | --- |', ...rows].join('\n')}\n`))
  const guest = new GuestRoot(guestRoot)
  const chosen = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word))
  for (const one of [...sound, ...spoilt]) if (chosen(one.name)) test(one.name, (t) => proves(t, guest, one))
  const appended = 'modules behind the initramfs, in an archive of their own'
  if (chosen(appended))
    test(appended, (t) =>
      proves(t, guest, {
        name: appended,
        guest: {
          filesystem: 'ext4',
          making: noVirtio,
          root: byUuid,
          appended: moduleArchive(guest, ['virtio_blk', 'virtio_pci']),
        },
        platform: 'qemu',
        verdict: 'ready',
        starts: [['bios', 'virtio']],
      }),
    )
}
