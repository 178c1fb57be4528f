/** What doctor finds in Windows systems that were made for it: each defect alone, and nothing in a sound one. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { doctor, type DoctorResult } from '../../src/operations/doctor/doctor.js'
import { vdisk } from '../support/cli.js'
import { dirty, dword, hiveBytes, newLog, newLogEntry } from '../support/hive-bytes.js'
import { assertSchema } from '../support/schemas.js'
import { putInto, putIntoFat, type GuestFiles } from '../support/linux-guest.js'
import { have, run, scratch } from '../support/tools.js'
import {
  bcdObject,
  bootElement,
  bootStore,
  hivePaths,
  ids,
  markDirty,
  mounted,
  otherGuid,
  otherSignature,
  partitionElement,
  starts,
  systemHive,
  windowsDisk,
  windowsSpec,
  type WindowsSpec,
} from '../support/windows-guest.js'

function tools(t: TestContext): boolean {
  return ['sfdisk', 'mkfs.ntfs', 'ntfs-3g', 'ntfscp', 'fusermount3', 'mkfs.vfat', 'mcopy'].every((tool) =>
    have(t, tool),
  )
}

const found = ({ findings }: DoctorResult): string[] => findings.map(({ id, severity }) => `${severity} ${id}`)

interface Defect {
  readonly name: string
  readonly scheme?: 'mbr'
  readonly change: (spec: WindowsSpec) => void
  /** What is done to the disk then. */
  readonly spoil?: (disk: string) => void
  readonly platform?: string
  /** Severity and id of every finding, the worst first. */
  readonly finds: readonly string[]
  readonly verdict: DoctorResult['verdict']
}

const none = (): void => undefined
const store = (change: Partial<WindowsSpec['store']>) => (spec: WindowsSpec) => {
  spec.store = { ...spec.store, ...change }
}
const file =
  (path: string, content: Buffer | string = '') =>
  (spec: WindowsSpec) => {
    spec.files[path] = content
  }
const viostor = (spec: WindowsSpec): void => {
  spec.services['viostor'] = { start: 0 }
  spec.files['/Windows/System32/drivers/viostor.sys'] = 'driver'
}

function overwrite(disk: string, position: number, bytes: Buffer): void {
  const file = fs.openSync(disk, 'r+')
  fs.writeSync(file, bytes, 0, bytes.length, position)
  fs.closeSync(file)
}

/** A boot store whose names no disk has. */
function earlierStore(): Buffer {
  const device = partitionElement({ signature: otherSignature, start: starts.mbr })
  const { store: spec } = windowsSpec('mbr')
  return hiveBytes(bootStore({ ...spec, managerDevice: device, device, osDevice: device }))
}

/** A second partition behind the one of the MBR disk: FAT, with some files. */
function appendVolume(disk: string, files: GuestFiles): void {
  const image = `${disk}.fat`
  run('mkfs.vfat', '-C', image, '8192')
  for (const [path, content] of Object.entries(files)) {
    fs.writeFileSync(`${disk}.file`, content)
    putIntoFat(image, `${disk}.file`, path)
  }
  putInto(disk, image, 20 * 1048576)
  // Its entry in the table: type 12, from sector 40960 on, 16384 of them.
  const entry = Buffer.from('000000000c00000000a0000000400000', 'hex')
  overwrite(disk, 446 + 16, entry)
}

const defects: readonly Defect[] = [
  { name: 'none', change: none, finds: [], verdict: 'ready' },
  { name: 'none, of a disk with an MBR', scheme: 'mbr', change: none, finds: [], verdict: 'ready' },
  { name: 'none, on Azure', change: none, platform: 'azure-gen2', finds: [], verdict: 'ready' },
  { name: 'none, on Hyper-V', scheme: 'mbr', change: none, platform: 'hyperv-gen1', finds: [], verdict: 'ready' },
  {
    name: 'none, on EC2, but for its agent',
    change: none,
    platform: 'aws-snapshot',
    finds: ['note W-AGENT'],
    verdict: 'ready',
  },
  {
    name: 'BIOS alone, where there is UEFI alone',
    scheme: 'mbr',
    change: none,
    platform: 'hyperv-gen2',
    finds: ['blocks F-FIRMWARE', 'risk D-RULE'],
    verdict: 'blocked',
  },
  {
    name: 'Windows 7 as it is installed, on Hyper-V, whose IDE it starts from',
    scheme: 'mbr',
    change: (spec) => {
      spec.services['storvsc'] = { start: 3 }
    },
    platform: 'hyperv-gen1',
    finds: ['note W-CONTROLLER'],
    verdict: 'ready',
  },
  {
    name: 'one driver of VMware that is installed and does not start',
    change: (spec) => {
      spec.services['VMTools'] = { start: 2 }
    },
    platform: 'esxi',
    finds: ['note W-CONTROLLER'],
    verdict: 'ready',
  },
  {
    name: 'no VirtIO on KVM, which has SATA too',
    change: none,
    platform: 'proxmox',
    finds: ['risk W-CONTROLLER'],
    verdict: 'ready',
  },
  {
    name: 'no VirtIO on KVM without SATA',
    change: none,
    platform: 'openstack',
    finds: ['blocks W-DRIVER-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'VirtIO that no device is known for',
    change: viostor,
    platform: 'proxmox',
    finds: ['risk W-DRIVER-UNBOUND'],
    verdict: 'ready',
  },
  {
    name: 'VirtIO, as virtio-win installs it',
    change: (spec) => {
      viostor(spec)
      spec.root['DriverDatabase'] = {
        keys: { DeviceIds: { keys: { PCI: { keys: { 'VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00': {} } } } } },
      }
    },
    platform: 'proxmox',
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'a driver that starts on demand',
    change: (spec) => {
      spec.services['storvsc'] = { start: 3 }
    },
    platform: 'azure-gen2',
    finds: ['blocks W-DRIVER-OFF'],
    verdict: 'mendable',
  },
  {
    name: 'a driver that is overridden',
    change: (spec) => {
      spec.services['storvsc'] = { start: 0, override: 3 }
    },
    platform: 'azure-gen2',
    finds: ['blocks W-DRIVER-OFF'],
    verdict: 'mendable',
  },
  {
    name: 'a driver without its file',
    change: file('/Windows/System32/drivers/storvsc.sys'),
    platform: 'azure-gen2',
    finds: ['blocks W-DRIVER-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'a driver elsewhere',
    change: (spec) => {
      spec.services['storvsc'] = { start: 0, image: '\\SystemRoot\\System32\\other\\storvsc.sys' }
    },
    platform: 'azure-gen2',
    finds: ['blocks W-DRIVER-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'no agent',
    change: (spec) => {
      delete spec.services['WindowsAzureGuestAgent']
    },
    platform: 'azure-gen2',
    finds: ['note W-AGENT'],
    verdict: 'ready',
  },
  {
    name: 'no Remote Desktop on Azure',
    change: (spec) => {
      const { keys } = systemHive(spec)
      spec.control = {
        Control: {
          keys: {
            ...keys?.['ControlSet001']?.keys?.['Control']?.keys,
            'Terminal Server': { values: [['fDenyTSConnections', 4, dword(1)]] },
          },
        },
      }
    },
    platform: 'azure-gen2',
    finds: ['risk W-AZURE'],
    verdict: 'ready',
  },
  {
    name: 'a platform without Windows',
    scheme: 'mbr',
    change: none,
    platform: 'digitalocean',
    finds: ['blocks W-PLATFORM'],
    verdict: 'blocked',
  },
  {
    name: 'another CPU',
    change: none,
    platform: 'raspberry',
    finds: ['blocks W-PLATFORM', 'blocks W-ARCH'],
    verdict: 'blocked',
  },
  {
    name: 'an entry for a partition that is not there',
    change: (spec) => {
      const lost = partitionElement({ partition: otherGuid, disk: ids.disk })
      store({ device: lost, osDevice: lost })(spec)
    },
    finds: ['blocks W-BCD-ABSENT'],
    verdict: 'mendable',
  },
  {
    name: 'the same, by the signature of an MBR',
    scheme: 'mbr',
    change: (spec) => {
      const lost = partitionElement({ signature: otherSignature, start: starts.mbr })
      store({ device: lost, osDevice: lost })(spec)
    },
    finds: ['blocks W-BCD-ABSENT'],
    verdict: 'mendable',
  },
  {
    name: 'a boot manager that does not know its own partition',
    change: store({ managerDevice: partitionElement({ partition: otherGuid, disk: ids.disk }) }),
    finds: ['risk W-BCD-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'an entry of the menu for another disk',
    change: store({
      others: {
        '{b0000000-0000-4000-8000-00000000000b}': bcdObject(0x10200003, {
          '21000001': [3, partitionElement({ signature: otherSignature, start: 4096 })],
        }),
      },
    }),
    finds: ['note W-BCD-ABSENT'],
    verdict: 'ready',
  },
  {
    name: 'an entry for the partition of the boot manager',
    change: store({ device: bootElement(), osDevice: bootElement() }),
    finds: ['blocks W-BCD-LOADER'],
    verdict: 'blocked',
  },
  {
    name: 'the same, where it is the right one',
    scheme: 'mbr',
    change: store({ device: bootElement(), osDevice: bootElement() }),
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'the loader for BIOS',
    change: store({ path: '\\Windows\\system32\\winload.exe' }),
    finds: ['blocks W-BCD-LOADER'],
    verdict: 'blocked',
  },
  {
    name: 'no loader',
    change: file('/Windows/System32/winload.efi'),
    finds: ['blocks W-BCD-LOADER'],
    verdict: 'blocked',
  },
  { name: 'no entry', change: store({ first: undefined }), finds: ['risk W-BCD-ENTRY'], verdict: 'ready' },
  {
    name: 'a default that is not there',
    change: store({ first: `{${otherGuid}}` }),
    finds: ['risk W-BCD-ENTRY'],
    verdict: 'ready',
  },
  {
    name: 'no boot store',
    change: (spec) => {
      spec.esp[hivePaths.efiStore] = ''
    },
    finds: ['blocks W-BCD-MISSING'],
    verdict: 'blocked',
  },
  {
    name: 'no boot store on an MBR disk',
    scheme: 'mbr',
    change: file(hivePaths.biosStore),
    finds: ['blocks W-BCD-MISSING'],
    verdict: 'blocked',
  },
  {
    name: 'no bootmgr',
    scheme: 'mbr',
    change: file('/bootmgr'),
    finds: ['blocks W-BOOTMGR-ABSENT'],
    verdict: 'blocked',
  },
  {
    name: 'a store of an earlier system in a partition that is not active',
    scheme: 'mbr',
    change: none,
    spoil: (disk) => appendVolume(disk, { [hivePaths.biosStore]: earlierStore(), '/bootmgr': 'program' }),
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'C: is another partition',
    change: (spec) => {
      spec.mounted['\\DosDevices\\C:'] = mounted(otherGuid)
    },
    finds: ['risk W-MOUNTED'],
    verdict: 'ready',
  },
  {
    name: 'C: by the signature of another disk',
    scheme: 'mbr',
    change: (spec) => {
      spec.mounted['\\DosDevices\\C:'] = mounted({ signature: otherSignature, start: starts.mbr })
    },
    finds: ['risk W-MOUNTED'],
    verdict: 'ready',
  },
  {
    name: 'a system that slept',
    change: file('/hiberfil.sys', Buffer.from('wake'.padEnd(4096, '\0'))),
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'a system that sleeps',
    change: file('/hiberfil.sys', Buffer.from('HIBR'.padEnd(4096, '\0'))),
    finds: ['risk D-FS-ASLEEP'],
    verdict: 'ready',
  },
  { name: 'a dirty volume', change: none, spoil: markDirty, finds: ['note D-FS-DIRTY'], verdict: 'ready' },
  {
    name: 'a dynamic disk',
    scheme: 'mbr',
    change: none,
    spoil: (disk) => overwrite(disk, 446 + 4, Buffer.from([0x42])),
    finds: ['blocks W-DYNAMIC'],
    verdict: 'blocked',
  },
  {
    name: 'BitLocker',
    change: none,
    spoil: (disk) => overwrite(disk, starts.windows + 3, Buffer.from('-FVE-FS-')),
    platform: 'azure-gen2',
    finds: ['risk W-BITLOCKER'],
    verdict: 'unknown',
  },
  {
    name: 'BitLocker where it is refused',
    change: none,
    spoil: (disk) => overwrite(disk, starts.windows + 3, Buffer.from('-FVE-FS-')),
    platform: 'aws-image',
    finds: ['blocks D-ENCRYPTED'],
    verdict: 'blocked',
  },
  {
    name: 'a registry that is dirty, with its log',
    change: (spec) => {
      const before = hiveBytes(systemHive({ ...spec, services: { ...spec.services, storvsc: { start: 4 } } }))
      const after = hiveBytes(systemHive(spec))
      spec.files[hivePaths.system] = dirty(before)
      spec.files[`${hivePaths.system}.LOG1`] = newLog(before, 2, [newLogEntry(before, after, 2)])
    },
    platform: 'azure-gen2',
    finds: ['note W-HIVE-DIRTY'],
    verdict: 'ready',
  },
  {
    name: 'a registry that is dirty, without a log',
    change: (spec) => {
      spec.files[hivePaths.system] = dirty(hiveBytes(systemHive(spec)))
    },
    finds: ['risk W-HIVE-DIRTY'],
    verdict: 'ready',
  },
  {
    name: 'a registry that is damaged',
    change: file(hivePaths.system, Buffer.alloc(8192, 0x5a)),
    finds: [],
    verdict: 'unknown',
  },
  {
    name: 'a boot store that is damaged',
    change: (spec) => {
      spec.esp[hivePaths.efiStore] = hiveBytes(bootStore(spec.store)).subarray(0, 4096)
    },
    finds: [],
    verdict: 'unknown',
  },
]

test('the command prints what Windows says of itself, in text and as JSON of its schema', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  windowsDisk(at, windowsSpec('gpt'), 'gpt')
  const cwd = at('.')
  const text = await vdisk(['doctor', 'windows.raw', '--for', 'proxmox'], { cwd })
  assert.match(text.stdout.toString(), /system +Windows 11 Pro \(23H2, build 22631\.3447\)/)
  assert.match(text.stdout.toString(), /Risk W-CONTROLLER: \/Windows\/System32\/config\/SYSTEM/)
  const json = await vdisk(['doctor', 'windows.raw', '--json'], { cwd })
  const document = JSON.parse(json.stdout.toString()) as DoctorResult
  assertSchema('doctor', document)
  assert.deepEqual(document.windows, {
    partition: 2,
    folder: '/Windows',
    product: 'Windows 11 Pro',
    version: '10.0',
    build: '22631.3447',
    release: '23H2',
    cpu: 'x86-64',
    controlSet: 1,
  })
})

test('a partition of Storage Spaces is said to be not looked into', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  const disk = windowsDisk(at, windowsSpec('gpt'), 'gpt')
  run(
    'sfdisk',
    '--quiet',
    '--no-reread',
    '--no-tell-kernel',
    '--part-type',
    disk,
    '2',
    'E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D',
  )
  const { notLooked } = await doctor(disk)
  assert.ok(
    notLooked.some(({ what }) => what === 'partition 2: Storage Spaces'),
    JSON.stringify(notLooked),
  )
})

test('each defect of Windows that is planted is found, and nothing else', async (t) => {
  if (!tools(t)) return
  const at = scratch(t)
  for (const { name, scheme = 'gpt', change, spoil, platform, finds, verdict } of defects) {
    const spec = windowsSpec(scheme)
    change(spec)
    const disk = windowsDisk(at, spec, scheme)
    spoil?.(disk)
    const result = await doctor(disk, { for: platform })
    assert.deepEqual(
      found(result),
      finds,
      `${name}: ${JSON.stringify(result.findings)}${JSON.stringify(result.notLooked)}`,
    )
    assert.equal(result.verdict, verdict, `${name}: ${JSON.stringify(result.notLooked)}`)
  }
})
