/** Windows systems as far as doctor looks: made by the tests, with a defect planted in each. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { parseGuid } from '../../src/binary/guid.js'
import { dword, hiveBytes, text, type KeySpec, type ValueSpec } from './hive-bytes.js'
import { efiLoader, putInto, type GuestFiles } from './linux-guest.js'
import { run } from './tools.js'
import { emptyFile, withMount } from './volumes.js'

const mebibyte = 1048576

/** Ids of the disks that are made. */
export const ids = {
  disk: '11111111-aaaa-4aaa-8aaa-000000000001',
  esp: '22222222-bbbb-4bbb-8bbb-000000000002',
  windows: '33333333-cccc-4ccc-8ccc-000000000003',
  signature: '1234abcd',
} as const
/** Ids that no disk has. */
export const otherGuid = '99999999-dddd-4ddd-8ddd-000000000009'
export const otherSignature = 'deadbeef'

/** Where a partition begins: of the MBR disk the only one, of the GPT disk the second. */
export const starts = { mbr: mebibyte, esp: mebibyte, windows: 10 * mebibyte } as const

/** A partition as MountedDevices names it. */
export function mounted(place: string | { readonly signature: string; readonly start: number }): Buffer {
  if (typeof place === 'string') return Buffer.concat([Buffer.from('DMIO:ID:'), parseGuid(place) ?? Buffer.alloc(0)])
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32LE(Number.parseInt(place.signature, 16), 0)
  bytes.writeBigUInt64LE(BigInt(place.start), 4)
  return bytes
}

/** A partition as an element of a boot store names it: 88 bytes. */
export function partitionElement(
  place: { readonly partition: string; readonly disk: string } | { readonly signature: string; readonly start: number },
): Buffer {
  const bytes = Buffer.alloc(88)
  bytes.writeUInt32LE(6, 16)
  bytes.writeUInt32LE(72, 24)
  if ('partition' in place) {
    bytes.set(parseGuid(place.partition) ?? [], 32)
    bytes.set(parseGuid(place.disk) ?? [], 56)
  } else {
    bytes.writeBigUInt64LE(BigInt(place.start), 32)
    bytes.writeUInt32LE(1, 52)
    bytes.writeUInt32LE(Number.parseInt(place.signature, 16), 56)
  }
  return bytes
}

/** The device of the partition that the boot manager was started from. */
export function bootElement(): Buffer {
  const bytes = Buffer.alloc(88)
  bytes.writeUInt32LE(5, 16)
  bytes.writeUInt32LE(72, 24)
  return bytes
}

export const bootManager = '{9dea862c-5cdd-4e70-acc1-f32b344d4795}'
export const entryId = '{a1b2c3d4-0000-4000-8000-00000000000a}'

/** Elements of the objects of a boot store. */
export interface StoreSpec {
  readonly managerDevice: Buffer
  readonly device: Buffer
  readonly osDevice: Buffer
  readonly path: string
  /** Undefined: no entry starts by itself. */
  readonly first?: string
  /** Further objects. */
  readonly others?: Readonly<Record<string, KeySpec>>
}

export function bootStore({ managerDevice, device, osDevice, path, first, others }: StoreSpec): KeySpec {
  return {
    keys: {
      Description: { values: [['KeyName', 1, text('BCD00000000')]] },
      Objects: {
        keys: {
          [bootManager]: bcdObject(0x10100002, {
            '11000001': [3, managerDevice],
            '12000004': [1, text('Windows Boot Manager')],
            ...(first === undefined ? {} : { '23000003': [1, text(first)] }),
          }),
          [entryId]: bcdObject(0x10200003, {
            '11000001': [3, device],
            '12000002': [1, text(path)],
            '12000004': [1, text('Windows 10')],
            '21000001': [3, osDevice],
            '22000002': [1, text('\\Windows')],
          }),
          ...others,
        },
      },
    },
  }
}

export function bcdObject(type: number, elements: Readonly<Record<string, readonly [number, Buffer]>>): KeySpec {
  return {
    keys: {
      Description: { values: [['Type', 4, dword(type)]] },
      Elements: {
        keys: Object.fromEntries(
          Object.entries(elements).map(([name, [kind, data]]) => [name, { values: [['Element', kind, data]] }]),
        ),
      },
    },
  }
}

/** A driver: how it starts, and what overrides that. */
export interface ServiceSpec {
  readonly start: number
  readonly override?: number
  readonly image?: string
}

/** A Windows 11 as it comes out of Hyper-V. */
export interface WindowsSpec {
  services: Record<string, ServiceSpec>
  /** Values of the key MountedDevices, by their names. */
  mounted: Record<string, Buffer>
  /** Further keys of the control set. */
  control: Record<string, KeySpec>
  /** Further keys of the hive. */
  root: Record<string, KeySpec>
  store: StoreSpec
  cpu: string
  /** Files of the system's volume, and of the ESP. */
  files: GuestFiles
  esp: GuestFiles
}

const inbox: Record<string, ServiceSpec> = {
  vmbus: { start: 0 },
  storvsc: { start: 0 },
  storahci: { start: 0 },
  stornvme: { start: 0 },
  atapi: { start: 0 },
  intelide: { start: 0 },
  LSI_SAS: { start: 3 },
}

export function windowsSpec(scheme: 'gpt' | 'mbr'): WindowsSpec {
  const here = { signature: ids.signature, start: starts.mbr }
  const own = scheme === 'gpt' ? partitionElement({ partition: ids.windows, disk: ids.disk }) : partitionElement(here)
  const letter = scheme === 'gpt' ? mounted(ids.windows) : mounted(here)
  return {
    services: { ...inbox, WindowsAzureGuestAgent: { start: 2 }, 'QEMU-GA': { start: 2 } },
    mounted: { '\\DosDevices\\C:': letter, '\\??\\Volume{33333333-0000-0000-0000-100000000000}': letter },
    control: {},
    root: {},
    store: {
      managerDevice: scheme === 'gpt' ? partitionElement({ partition: ids.esp, disk: ids.disk }) : own,
      device: own,
      osDevice: own,
      path: `\\Windows\\system32\\winload.${scheme === 'gpt' ? 'efi' : 'exe'}`,
      first: entryId,
    },
    cpu: 'AMD64',
    files: {
      '/Windows/System32/winload.efi': efiLoader('winload'),
      '/Windows/System32/winload.exe': 'program',
      '/Windows/System32/ntoskrnl.exe': 'program',
      ...(scheme === 'gpt' ? {} : { '/bootmgr': 'program' }),
      ...Object.fromEntries(Object.keys(inbox).map((name) => [`/Windows/System32/drivers/${name}.sys`, 'driver'])),
    },
    esp: {
      '/EFI/Microsoft/Boot/bootmgfw.efi': efiLoader('bootmgfw.pdb'),
      '/EFI/BOOT/BOOTX64.EFI': efiLoader('bootmgfw.pdb'),
    },
  }
}

export function systemHive({ services, mounted: letters, control, root, cpu }: WindowsSpec): KeySpec {
  return {
    keys: {
      Select: {
        values: [
          ['Current', 4, dword(1)],
          ['Default', 4, dword(1)],
          ['Failed', 4, dword(0)],
          ['LastKnownGood', 4, dword(2)],
        ],
      },
      MountedDevices: { values: Object.entries(letters).map(([name, data]): ValueSpec => [name, 3, data]) },
      ControlSet001: { keys: { ...controlSet(services, cpu), ...control } },
      // An older set, in which nothing is right.
      ControlSet002: { keys: controlSet({ vmbus: { start: 4 } }, 'x86') },
      ...root,
    },
  }
}

function controlSet(services: Readonly<Record<string, ServiceSpec>>, cpu: string): Record<string, KeySpec> {
  return {
    Control: {
      keys: {
        'Session Manager': { keys: { Environment: { values: [['PROCESSOR_ARCHITECTURE', 1, text(cpu)]] } } },
        TimeZoneInformation: { values: [['RealTimeIsUniversal', 4, dword(1)]] },
        'Terminal Server': { values: [['fDenyTSConnections', 4, dword(0)]] },
      },
    },
    Services: {
      keys: Object.fromEntries(
        Object.entries(services).map(([name, { start, override, image }]): [string, KeySpec] => [
          name,
          {
            values: [
              ['Start', 4, dword(start)],
              ['ImagePath', 2, text(image ?? `System32\\drivers\\${name}.sys`)],
              ['Type', 4, dword(1)],
            ],
            keys: override === undefined ? {} : { StartOverride: { values: [['0', 4, dword(override)]] } },
          },
        ]),
      ),
    },
  }
}

export const softwareHive: KeySpec = {
  keys: {
    Microsoft: {
      keys: {
        'Windows NT': {
          keys: {
            CurrentVersion: {
              values: [
                ['ProductName', 1, text('Windows 10 Pro')],
                ['CurrentBuildNumber', 1, text('22631')],
                ['UBR', 4, dword(3447)],
                ['DisplayVersion', 1, text('23H2')],
                ['CurrentMajorVersionNumber', 4, dword(10)],
                ['CurrentMinorVersionNumber', 4, dword(0)],
                ['SystemRoot', 1, text('C:\\Windows')],
              ],
            },
          },
        },
      },
    },
  },
}

export const hivePaths = {
  system: '/Windows/System32/config/SYSTEM',
  software: '/Windows/System32/config/SOFTWARE',
  efiStore: '/EFI/Microsoft/Boot/BCD',
  biosStore: '/Boot/BCD',
} as const

/** The files of both volumes; what the specification names itself counts. */
function allFiles(spec: WindowsSpec, scheme: 'gpt' | 'mbr'): { readonly own: GuestFiles; readonly esp: GuestFiles } {
  const store = hiveBytes(bootStore(spec.store))
  return {
    own: {
      [hivePaths.system]: hiveBytes(systemHive(spec)),
      [hivePaths.software]: hiveBytes(softwareHive),
      ...(scheme === 'gpt' ? {} : { [hivePaths.biosStore]: store }),
      ...spec.files,
    },
    esp: { [hivePaths.efiStore]: store, ...spec.esp },
  }
}

/** Writes files below a folder; those that are empty are left out. */
function writeTree(folder: string, files: GuestFiles): void {
  for (const [path, content] of Object.entries(files)) {
    if (content.length === 0) continue
    fs.mkdirSync(dirname(join(folder, path)), { recursive: true })
    fs.writeFileSync(join(folder, path), content)
  }
}

/** Volumes that were made, by the paths of the files in them. */
const made = new Map<string, { readonly image: string; readonly files: GuestFiles }>()

/** A volume of the files. One with the same paths as another is a copy of it, in which the contents are exchanged. */
function ntfsImage(at: (name: string) => string, files: GuestFiles): string {
  const paths = Object.keys(files)
    .filter((path) => files[path]?.length !== 0)
    .sort()
  const key = [at(''), ...paths].join('\n')
  let base = made.get(key)
  if (base === undefined) {
    base = { image: at(`windows-${made.size}.ntfs`), files: { ...files } }
    emptyFile(base.image, 16 * mebibyte)
    run('mkfs.ntfs', '-F', '-Q', '-q', base.image)
    withMount('ntfs-3g', base.image, at('point'), [], () => writeTree(at('point'), files))
    made.set(key, base)
  }
  const image = at('windows.ntfs')
  fs.copyFileSync(base.image, image)
  for (const path of paths) {
    const content = Buffer.from(files[path] ?? '')
    if (content.equals(Buffer.from(base.files[path] ?? ''))) continue
    fs.writeFileSync(at('content'), content)
    run('ntfscp', '-f', '-q', image, at('content'), path)
  }
  return image
}

function fatImage(at: (name: string) => string, files: GuestFiles): string {
  const image = at('esp.img')
  fs.rmSync(image, { force: true })
  fs.rmSync(at('esp'), { recursive: true, force: true })
  run('mkfs.vfat', '-C', '-i', 'abcd1234', image, '8192')
  writeTree(at('esp'), files)
  run('mcopy', '-s', '-i', image, ...fs.readdirSync(at('esp')).map((name) => join(at('esp'), name)), '::')
  return image
}

/** A disk with the system: GPT with an ESP, or MBR with one active partition. A file without content is left out. */
export function windowsDisk(at: (name: string) => string, spec: WindowsSpec, scheme: 'gpt' | 'mbr'): string {
  const disk = at('windows.raw')
  fs.rmSync(disk, { force: true })
  emptyFile(disk, 32 * mebibyte)
  const { own, esp } = allFiles(spec, scheme)
  const image = ntfsImage(at, own)
  if (scheme === 'gpt') {
    makeTable(disk, [
      `label: gpt\nlabel-id: ${ids.disk}`,
      `start=2048, size=16384, type=uefi, uuid=${ids.esp}`,
      `start=20480, size=32768, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid=${ids.windows}`,
    ])
    putInto(disk, fatImage(at, esp), starts.esp)
    putInto(disk, image, starts.windows)
    return disk
  }
  makeTable(disk, [`label: dos\nlabel-id: 0x${ids.signature}`, 'start=2048, size=32768, type=7, bootable'])
  putInto(disk, image, starts.mbr)
  const file = fs.openSync(disk, 'r+')
  fs.writeSync(file, Buffer.from('Invalid partition table\0Missing operating system\0TCPA'), 0, undefined, 0)
  // The boot code of mkfs.ntfs only says that there is none. It stands in the last sector of the volume too.
  for (const sector of [starts.mbr, starts.mbr + 16 * mebibyte - 512])
    fs.writeSync(file, Buffer.from('BOOTMGR is missing'.padEnd(420, '\0')), 0, undefined, sector + 84)
  fs.closeSync(file)
  return disk
}

/** A partition table by sfdisk; sgdisk would wait for all disks of the host. */
function makeTable(disk: string, lines: readonly string[]): void {
  const table = spawnSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk], {
    input: lines.join('\n'),
    encoding: 'utf8',
  })
  if (table.status !== 0) throw new Error(`sfdisk: ${table.stderr}`)
}

/** Marks the volume of a GPT disk as one to be checked at the next start. */
export function markDirty(disk: string): void {
  const bytes = fs.readFileSync(disk)
  // $Volume is record 3; its flags are behind its version, in the attribute 0x70.
  const table = Number(bytes.readBigUInt64LE(starts.windows + 48)) * bytes.readUInt8(starts.windows + 13) * 512
  const record = starts.windows + table + 3 * 1024
  let attribute = record + bytes.readUInt16LE(record + 20)
  while (bytes.readUInt32LE(attribute) !== 0x70) attribute += bytes.readUInt32LE(attribute + 4)
  const flags = attribute + bytes.readUInt16LE(attribute + 20) + 10
  bytes.writeUInt16LE(bytes.readUInt16LE(flags) | 1, flags)
  fs.writeFileSync(disk, bytes)
}
