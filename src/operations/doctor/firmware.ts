import type { Platform } from '../../platforms/index.js'
import { startText } from '../inspect/boot/diagnosis.js'
import type { InspectResult } from '../inspect/inspect.js'
import type { DoctorReport } from './report.js'

const titles = { bios: 'BIOS', uefi: 'UEFI' } as const

/** Whether the firmware of the platform starts the disk; without a platform, whether any does. */
export function checkFirmware(
  { boot, image, operatingSystem, scheme }: InspectResult,
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  if (image.part !== undefined) {
    report.skip('how the disk starts', `only ${image.part} was looked at`, true)
    return
  }
  const wanted = (['bios', 'uefi'] as const).filter((one) => platform === undefined || platform.firmware.includes(one))
  // A kernel that is given beside the disk, or a board's own firmware, needs no loader here.
  if (platform !== undefined && platform.firmware.some((one) => one === 'kernel' || one === 'own')) {
    report.skip('boot loaders', `${platform.id} starts a kernel of its own choice`, false)
    return
  }
  report.look(`boot loaders: ${startText(boot)}`)
  const starts = wanted.filter((one) => boot.firmware === 'both' || boot.firmware === one)
  const [only] = wanted
  const windows = operatingSystem.found.some(({ family }) => family === 'windows')
  if (starts.length === 0) {
    report.add({
      id: boot.firmware === 'none' ? 'F-NO-LOADER' : 'F-FIRMWARE',
      severity: 'blocks',
      where: 'the disk',
      found: boot.reasons.join(' '),
      wanted: `a boot loader for ${wanted.map((one) => titles[one]).join(' or ')}`,
      why:
        boot.firmware === 'none' || only === undefined
          ? 'no firmware finds anything to start'
          : `${platform?.id ?? 'it'} has ${titles[only]} alone, and the disk ${startText(boot)}`,
      remedy: { kind: 'inside-guest', text: loaderRemedy(only, windows, scheme === 'gpt') },
    })
    return
  }
  if (!starts.includes('uefi') || starts.includes('bios')) return
  if (boot.loaders.some(({ fallback, fault }) => fallback && fault === undefined)) {
    checkCpu(boot, platform, report)
    return
  }
  report.add({
    id: 'F-FALLBACK',
    severity: 'blocks',
    where: 'the EFI system partition',
    found: boot.loaders.map(({ path }) => path).join(', '),
    wanted: '/EFI/BOOT/BOOTX64.EFI (of the CPU)',
    why: 'another machine has no entry for it in the memory of its firmware, and finds nothing on its own',
    remedy: {
      kind: 'inside-guest',
      text: windows
        ? 'Run bcdboot C:\\Windows /f UEFI, which puts the loader there too.'
        : 'grub-install --removable (--force-extra-removable), or copy the loader there.',
    },
  })
}

function loaderRemedy(only: 'bios' | 'uefi' | undefined, windows: boolean, isGpt: boolean): string {
  // Windows starts from a GPT by UEFI alone.
  if (only === 'bios' && windows && isGpt)
    return 'Convert the table back (vdisk partition convert --table mbr), and run bootrec /fixmbr.'
  if (only === 'bios')
    return windows
      ? 'In the repair system of Windows: bootrec /fixmbr, bootrec /fixboot, bcdboot C:\\Windows /f BIOS.'
      : 'Run grub-install on the disk.'
  return windows
    ? 'In Windows: mbr2gpt /convert /allowFullOS; of a disk with a GPT: bcdboot C:\\Windows /f UEFI.'
    : 'Make an EFI system partition, and run grub-install.'
}

function checkCpu({ loaders }: InspectResult['boot'], platform: Platform | undefined, report: DoctorReport): void {
  const { cpus } = platform ?? {}
  if (cpus === undefined || loaders.some(({ cpu, fallback }) => fallback && cpu !== undefined && cpus.includes(cpu)))
    return
  report.add({
    id: 'L-ARCH',
    severity: 'blocks',
    where: 'the EFI system partition',
    found: loaders.map(({ path, cpu }) => `${path} for ${cpu ?? 'no known CPU'}`).join(', '),
    wanted: cpus.join(' or '),
    why: `machines of ${platform?.id ?? 'the platform'} have another CPU`,
    remedy: { kind: 'none', text: 'Install a system for that CPU.' },
  })
}
