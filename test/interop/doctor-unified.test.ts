/** Unified kernel images, as objcopy puts them together behind systemd's stub: what is in them is looked into. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { doctor, type DoctorResult } from '../../src/operations/doctor/doctor.js'
import { mendGuest } from '../../src/operations/doctor/mending/mend.js'
import {
  cloudModules,
  cpio,
  debianFiles,
  espImage,
  grubConfiguration,
  guestDisk,
  kernelVersion,
  putInto,
  putIntoFat,
  rootUuid,
  type GuestFiles,
} from '../support/linux-guest.js'
import { kernelFile } from '../support/tiny-kernel.js'
import { have, scratch } from '../support/tools.js'
import { haveStub, systemdBoot, unifiedImage, type UnifiedParts } from '../support/unified-image.js'

const mebibyte = 1048576
const other = '11111111-2222-3333-4444-555555555555'
const first = '/EFI/BOOT/BOOTX64.EFI'
const modules = (names: readonly string[]): Buffer =>
  cpio(names.map((name) => `usr/lib/modules/${kernelVersion}/${name}`))
const noVirtio = modules(cloudModules.filter((name) => !name.includes('virtio')))
const sound: UnifiedParts = {
  kernel: kernelFile(kernelVersion),
  initramfs: modules(cloudModules),
  parameters: `root=UUID=${rootUuid} ro console=ttyS0\n`,
  version: kernelVersion,
}
const lost = { ...sound, parameters: `root=UUID=${other} ro` }

type Esp = Readonly<Record<string, UnifiedParts | string | Buffer>>

/** A guest without a menu of its own, and an EFI system partition with images, texts and programs. */
function unifiedDisk(at: (name: string) => string, esp: Esp, change?: (files: GuestFiles) => void): string {
  const files = debianFiles()
  delete files['/boot/grub/grub.cfg']
  change?.(files)
  const disk = guestDisk(at, files, '')
  const volume = at('esp.img')
  fs.copyFileSync(espImage(at, ''), volume)
  for (const [path, content] of Object.entries(esp)) {
    const isImage = typeof content !== 'string' && !Buffer.isBuffer(content)
    if (!isImage) fs.writeFileSync(at('content'), content)
    putIntoFat(volume, isImage ? unifiedImage(at, content) : at('content'), path)
  }
  putInto(disk, volume, mebibyte)
  return disk
}

const ids = ({ findings }: DoctorResult): string[] => findings.map(({ id, severity }) => `${severity} ${id}`)

function ready(t: TestContext): boolean {
  return ['sgdisk', 'mke2fs', 'mkfs.vfat', 'mcopy'].every((tool) => have(t, tool)) && haveStub(t)
}

interface Case {
  readonly name: string
  readonly esp: Esp
  readonly change?: (files: GuestFiles) => void
  readonly finds: readonly string[]
  readonly verdict?: DoctorResult['verdict']
}

const loader = (): Buffer => fs.readFileSync(systemdBoot)
const release = (version: string): string => `ID=debian\nPRETTY_NAME="Debian ${version}"\nVERSION_ID=${version}\n`

const cases = (): readonly Case[] => [
  { name: 'firmware starts it', esp: { [first]: sound }, finds: [], verdict: 'ready' },
  {
    name: 'it comes before a menu that firmware does not read',
    esp: { [first]: sound },
    change: (files) => {
      files['/boot/grub/grub.cfg'] = grubConfiguration(`root=UUID=${other} ro`)
    },
    finds: [],
    verdict: 'ready',
  },
  { name: 'its root is gone', esp: { [first]: lost }, finds: ['blocks L-ROOT-ABSENT'], verdict: 'blocked' },
  {
    name: 'no virtio in its initramfs',
    esp: { [first]: { ...sound, initramfs: noVirtio } },
    finds: ['blocks L-INITRD-DRIVER'],
    verdict: 'blocked',
  },
  {
    name: 'no initramfs in it',
    esp: { [first]: { ...sound, initramfs: undefined } },
    finds: ['blocks L-ROOT-NO-INITRD', 'blocks L-INITRD-DRIVER', 'blocks L-INITRD-FILESYSTEM'],
    verdict: 'blocked',
  },
  {
    name: 'half an initramfs in it',
    esp: { [first]: { ...sound, initramfs: noVirtio.subarray(0, 500) } },
    finds: ['blocks L-INITRD-DAMAGED'],
    verdict: 'blocked',
  },
  {
    name: 'the first profile counts',
    esp: {
      [first]: {
        ...lost,
        more: [
          ['profile', 'ID=one\n'],
          ['cmdline', `root=UUID=${rootUuid} ro`],
          ['profile', 'ID=two\n'],
          ['cmdline', `root=UUID=${other} ro`],
        ],
      },
    },
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'systemd-boot starts the newest one',
    esp: {
      [first]: loader(),
      '/EFI/Linux/a.efi': { ...sound, release: release('13.10') },
      '/EFI/Linux/b.efi': { ...lost, release: release('13.9') },
    },
    finds: [],
    verdict: 'ready',
  },
  {
    name: 'systemd-boot starts what is set',
    esp: {
      [first]: loader(),
      '/loader/loader.conf': 'default b*\n',
      '/EFI/Linux/a.efi': { ...sound, release: release('13.10') },
      '/EFI/Linux/b.efi': { ...lost, release: release('13.9') },
    },
    finds: ['blocks L-ROOT-ABSENT'],
  },
  {
    name: 'tries that are used up come last',
    esp: { [first]: loader(), '/EFI/Linux/b+0-3.efi': lost, '/EFI/Linux/a.efi': sound },
    finds: [],
  },
  {
    name: 'an entry names it, and has options of its own',
    esp: {
      [first]: loader(),
      '/loader/entries/one.conf': `title One\nefi /images/one.efi\noptions root=UUID=${rootUuid} ro\n`,
      '/images/one.efi': lost,
    },
    finds: [],
  },
  {
    name: 'an entry names it, and has none',
    esp: { [first]: loader(), '/loader/entries/one.conf': 'title One\nuki /images/one.efi\n', '/images/one.efi': lost },
    finds: ['blocks L-ROOT-ABSENT'],
  },
]

test('what unified kernel images hold is looked into', async (t) => {
  if (!ready(t)) return
  const at = scratch(t)
  for (const { name, esp, change, finds, verdict } of cases()) {
    const result = await doctor(unifiedDisk(at, esp, change), { for: 'qemu' })
    assert.deepEqual(ids(result), finds, `${name}: ${JSON.stringify(result.findings)}`)
    if (verdict !== undefined) assert.equal(result.verdict, verdict, `${name}: ${JSON.stringify(result.notLooked)}`)
  }
})

test('a unified kernel image is not changed here, and one that is cut off is damaged', async (t) => {
  if (!ready(t)) return
  const at = scratch(t)
  const disk = unifiedDisk(at, { [first]: lost })
  const { findings } = await doctor(disk, { for: 'qemu' })
  assert.match(findings[0]?.remedy.text ?? '', /Set root=UUID=\S+ in \/etc\/kernel\/cmdline.*\(kernel-install, ukify\)/)
  assert.equal((await mendGuest(disk, { for: 'qemu', output: at('mended.raw') })).verdict, 'blocked')
  const driver = await doctor(unifiedDisk(at, { [first]: { ...sound, initramfs: noVirtio } }), { for: 'qemu' })
  assert.match(driver.findings[0]?.where ?? '', /BOOTX64\.EFI \(\.initrd\)/)
  assert.match(driver.findings[0]?.remedy.text ?? '', /Then build \/EFI\/BOOT\/BOOTX64\.EFI again/)
  const whole = fs.readFileSync(unifiedImage(at, sound))
  const cut = await doctor(unifiedDisk(at, { [first]: whole.subarray(0, whole.lastIndexOf('HdrS') + 1024) }), {
    for: 'qemu',
  })
  assert.deepEqual(ids(cut), ['blocks L-KERNEL-DAMAGED'])
})
