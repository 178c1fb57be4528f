import assert from 'node:assert/strict'
import fs from 'node:fs'
import { before, describe, test } from 'node:test'
import { BytesSource } from '../../../../src/block/bytes-source.js'
import { identifyFilesystems } from '../../../../src/filesystem/index.js'
import { openFile } from '../../../../src/formats/open.js'
import { masterBootCode, volumeBootCode } from '../../../../src/operations/inspect/boot/code.js'
import { diagnoseBoot, type BootDiagnosis, type OpenVolume } from '../../../../src/operations/inspect/boot/diagnosis.js'
import { efiProgram } from '../../../../src/operations/inspect/boot/loaders.js'
import { osRelease } from '../../../../src/operations/inspect/boot/system-guess.js'
import { VolumeFiles } from '../../../../src/operations/files/volume-files.js'
import { openPartition, readPartitionTable } from '../../../../src/partition/index.js'
import { uefiApplication } from '../../../../fixtures/boot-code.js'
import { fixture } from '../../../support/fixtures.js'
import { sameFacts } from '../../../support/same-facts.js'

const espStart = 1048576
const espLength = 12 * 1048576
let disk: Buffer

before(() => {
  using image = openFile(fixture('partitioned-disk.vhdx'), {})
  disk = Buffer.alloc(image.capacity)
  image.read(0, disk)
})

function diagnose(bytes: Uint8Array): BootDiagnosis {
  const source = new BytesSource(bytes, 'disk')
  const table = readPartitionTable(source)
  const partitions = table.partitions.map((partition) => ({
    partition,
    source: openPartition(source, partition, 'the disk'),
  }))
  const volumes: OpenVolume[] = (partitions.length === 0 ? [{ source }] : partitions).map((volume) => {
    const opened = { ...volume, filesystems: identifyFilesystems(volume.source) }
    return { volume: opened, files: new VolumeFiles(opened) }
  })
  return diagnoseBoot(source, table, volumes)
}

/** A first sector with code that holds some text. */
function sector(text: string, begins = '', at = 128): Buffer {
  const bytes = Buffer.alloc(512)
  bytes.write(begins, 'hex')
  bytes.write(text, at, 'latin1')
  bytes.writeUInt16LE(0xaa55, 510)
  return bytes
}

/** A disk of 1 MiB with an MBR of one partition of type 0x83. */
function mbrDisk(code: Buffer, boot: Buffer, active: boolean): Buffer {
  const bytes = Buffer.alloc(1048576)
  code.copy(bytes, 0, 0, 440)
  bytes.writeUInt32LE(0x1234, 440)
  bytes.set([active ? 0x80 : 0, 0, 2, 0, 0x83, 0, 0, 0], 446)
  bytes.writeUInt32LE(64, 454)
  bytes.writeUInt32LE(1024, 458)
  bytes.writeUInt16LE(0xaa55, 510)
  boot.copy(bytes, 64 * 512)
  return bytes
}

describe('what starts from a disk', () => {
  test('the disk that boots from BIOS and UEFI', () => {
    const { firmware, systemPartitions, loaders, bootCode, problems } = diagnose(disk)
    sameFacts([firmware, systemPartitions, bootCode.kind, problems], ['both', [1], 'unknown', []])
    sameFacts(loaders, [
      {
        partition: 1,
        path: '/EFI/BOOT/BOOTX64.EFI',
        kind: 'unknown',
        title: 'an unknown program',
        fallback: true,
        cpu: 'x86-64',
      },
    ])
  })

  test('without the code in its first sector: UEFI', () => {
    const { firmware, bootCode } = diagnose(Buffer.from(disk).fill(0, 0, 440))
    sameFacts([firmware, bootCode.kind], ['uefi', 'none'])
  })

  test('with a loader for another CPU than its name says', () => {
    const bytes = Buffer.from(disk)
    const program = bytes.indexOf(uefiApplication().subarray(0, 512), espStart)
    bytes.writeUInt16LE(0xaa64, program + 0x44)
    const { firmware, loaders, reasons } = diagnose(bytes)
    sameFacts(
      [firmware, loaders[0]!.cpu, loaders[0]!.fault],
      ['bios', 'arm64', 'its name is for x86-64, its code for arm64'],
    )
    assert.match(reasons.join('\n'), /\\EFI\\BOOT\\BOOTX64\.EFI in partition 1 will not start/)
  })

  test('with an empty ESP, and with none at all', () => {
    const empty = diagnose(Buffer.from(disk).fill(0, espStart, espStart + espLength))
    assert.equal(empty.firmware, 'bios')
    assert.match(empty.reasons.join('\n'), /The EFI system partition \(1\) holds no loader/)
    const nothing = diagnose(Buffer.alloc(1048576))
    sameFacts([nothing.firmware, nothing.loaders, nothing.active], ['none', [], []])
    assert.match(
      nothing.reasons.join('\n'),
      /^BIOS: does not start it\. .*\nUEFI: does not start it\. There is no loader/,
    )
  })

  test('with a damaged FAT: bounded, never an exception', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const whole = Buffer.from(disk)
      // A generator of Park and Miller: the same places every time.
      let state = seed
      for (let count = 0; count < 40; count++) {
        state = (state * 48271) % 2147483647
        whole[espStart + (state % 65536)] = state % 251
      }
      assert.ok(['bios', 'both'].includes(diagnose(whole).firmware))
    }
  })

  test('boot code that goes on with the active partition', () => {
    const syslinux = sector('Missing operating system.\r\nOperating system load error.\r\n')
    const bootable = sector('BOOTMGR is missing', 'eb5890')
    assert.equal(diagnose(mbrDisk(syslinux, bootable, true)).firmware, 'bios')
    const none = diagnose(mbrDisk(syslinux, bootable, false))
    sameFacts(
      [none.firmware, none.reasons[0]],
      [
        'none',
        'BIOS: does not start it. The first sector holds the boot code of syslinux, which starts the ' +
          'partition marked active; none is.',
      ],
    )
    const dead = diagnose(mbrDisk(syslinux, sector('This is not a bootable disk.  Please insert'), true))
    sameFacts([dead.firmware, dead.active[0]!.bootCode.kind], ['none', 'notBootable'])
    const unused = diagnose(mbrDisk(Buffer.alloc(512), bootable, true))
    assert.match(
      unused.reasons.join('\n'),
      /^BIOS: does not start it\. .*zeros\.\nPartition 1 is marked to be started and holds Windows/,
    )
  })

  test('GRUB whose second part is there, is missing, and lies past the end', () => {
    const grub = sector('GRUB \0Geom\0Hard Disk\0Read\0 Error', 'eb63', 0x180)
    grub.writeBigUInt64LE(1n, 0x5c)
    const bytes = mbrDisk(grub, Buffer.alloc(512), false)
    const missing = diagnose(bytes)
    sameFacts([missing.firmware, missing.grubCore], ['none', { position: 512, found: false }])
    sector('loading\0.\0Geom\0Read\0 Error').copy(bytes, 512)
    sameFacts([diagnose(bytes).firmware, diagnose(bytes).grubCore], ['bios', { position: 512, found: true }])
    for (const place of [0n, 2048n, 0xffffffffffffffffn]) {
      bytes.writeBigUInt64LE(place, 0x5c)
      assert.equal(diagnose(bytes).firmware, 'none')
    }
  })
})

test('boot code is recognised by its messages', () => {
  assert.equal(masterBootCode(Buffer.alloc(512)).kind, 'none')
  assert.equal(
    masterBootCode(
      sector(
        'Invalid partition table\0Error loading operating system\0Missing operating system\0TCPAu',
        '33c08ed0bc007c',
      ),
    ).title,
    'Windows',
  )
  assert.equal(
    masterBootCode(
      sector('Invalid partition table\0Error loading operating system\0Missing operating system', '33c08ed0bc007c'),
    ).kind,
    'dos',
  )
  assert.equal(masterBootCode(sector('hello')).kind, 'unknown')
  assert.equal(volumeBootCode(sector('NTLDR is missing')).kind, 'dos')
  assert.equal(volumeBootCode(sector('', '')).kind, 'none')
})

test('programs for UEFI are recognised', () => {
  sameFacts(efiProgram(uefiApplication()), { cpu: 'x86-64' })
  const windows = uefiApplication()
  windows.writeUInt16LE(3, 0x40 + 92)
  assert.match(efiProgram(windows).fault ?? '', /subsystem 3/)
  const far = uefiApplication()
  far.writeUInt32LE(0xffffffff, 60)
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.alloc(64),
    far,
    fs.readFileSync(fixture('partitioned-disk.vhdx')).subarray(0, 4096),
  ])
    assert.ok(efiProgram(bytes).fault)
})

test('os-release is shell without expansion', () => {
  const values = osRelease(
    '# a comment\nPRETTY_NAME="A \\"quoted\\" $(name)"\nID=debian\nVERSION_ID=\'12\'\nbad ' +
      'line\nEMPTY=\nNAME=two words\n',
  )
  sameFacts(
    [...values],
    [
      ['PRETTY_NAME', 'A "quoted" $(name)'],
      ['ID', 'debian'],
      ['VERSION_ID', '12'],
    ],
  )
  assert.equal(osRelease(`NAME=${'x'.repeat(5000)}`).get('NAME')!.length, 200)
})
