import { ascii, bytes, struct, u16, u32 } from '../../../binary/struct.js'
import { latin1 } from './code.js'
import type { VolumeFiles } from '../../files/volume-files.js'

/** A program for UEFI firmware, in the folder EFI of a volume. */
export interface BootLoader {
  /** Undefined: the volume starts at the disk's first byte. */
  readonly partition?: number
  readonly path: string
  readonly kind: 'windows' | 'grub' | 'shim' | 'systemd-boot' | 'refind' | 'unifiedKernel' | 'unknown'
  /** For people. */
  readonly title: string
  /**
   * Started without an entry in the firmware's memory, on a machine of its CPU: `\EFI\BOOT\BOOTX64.EFI` and its likes.
   */
  readonly fallback: boolean
  /** What it is made for: `x86-64`, `arm64` …; undefined where it is no program. */
  readonly cpu?: string
  /** Why firmware will not start it. */
  readonly fault?: string
}

/** PE machine types (Microsoft's PE format; UEFI 2.10, 2.1.1). */
const cpus: Readonly<Record<number, string>> = {
  0x8664: 'x86-64',
  0xaa64: 'arm64',
  0x014c: 'x86',
  0x01c0: 'arm',
  0x01c2: 'arm',
  0x01c4: 'arm',
  0x0200: 'itanium',
  0x5032: 'riscv32',
  0x5064: 'riscv64',
  0x5128: 'riscv128',
  0x6232: 'loongarch32',
  0x6264: 'loongarch64',
  0x0ebc: 'EFI byte code',
}

/** Names of the loaders that need no entry (UEFI 2.10, 3.5.1.1), and the CPU each is for. */
const fallbacks: Readonly<Record<string, string>> = {
  'bootx64.efi': 'x86-64',
  'bootaa64.efi': 'arm64',
  'bootia32.efi': 'x86',
  'bootarm.efi': 'arm',
  'bootia64.efi': 'itanium',
  'bootriscv64.efi': 'riscv64',
  'bootloongarch64.efi': 'loongarch64',
}

const dosHeader = struct('little', 64, { magic: ascii(0, 2), peOffset: u32(60) })
/** COFF header with its signature, and the beginning of the optional header up to the subsystem. */
const peHeader = struct('little', 94, { signature: bytes(0, 4), machine: u16(4), subsystem: u16(92) })
const efiApplication = 10

/** Where names of loaders stand that are recognised by their content; larger ones by their name. */
const searched = 2097152
const mostLoaders = 32
/** Helpers of shim, and what Windows keeps beside its loader. */
const helpers = /^(mm|fb|mok)[a-z0-9]*\.efi$|^(memtest|bootmgr)\.efi$/i

/** The programs for UEFI in a volume, in the order of their paths. Bounded: of very many the first. */
export function efiLoaders(files: VolumeFiles, partition?: number): BootLoader[] {
  const loaders: BootLoader[] = []
  for (const vendor of files.names('/EFI')) {
    const folder = vendor.toLowerCase() === 'microsoft' ? `/EFI/${vendor}/Boot` : `/EFI/${vendor}`
    for (const name of files.names(folder)) {
      if (!name.toLowerCase().endsWith('.efi') || helpers.test(name) || loaders.length >= mostLoaders) continue
      if (vendor.toLowerCase() === 'microsoft' && name.toLowerCase() !== 'bootmgfw.efi') continue
      loaders.push(loader(files, folder, name, partition))
    }
  }
  return loaders
}

function loader(files: VolumeFiles, folder: string, name: string, partition: number | undefined): BootLoader {
  const path = `${folder}/${name}`
  const content = files.head(path, searched)
  const cpu = fallbackFolder(folder) ? fallbacks[name.toLowerCase()] : undefined
  const program = content === undefined ? { fault: 'it cannot be read' } : efiProgram(content)
  const fault =
    program.fault ??
    (cpu !== undefined && program.cpu !== cpu
      ? `its name is for ${cpu}, its code for ${program.cpu ?? 'no known CPU'}`
      : undefined)
  return {
    path,
    ...kindOf(path, content),
    fallback: cpu !== undefined,
    partition,
    cpu: program.cpu,
    fault,
  }
}

function fallbackFolder(folder: string): boolean {
  return folder.toLowerCase() === '/efi/boot'
}

/** What a file says that it is made for. Pure and total. */
export function efiProgram(content: Uint8Array): { readonly cpu?: string; readonly fault?: string } {
  if (content.length < dosHeader.size) return { fault: 'it is no program: too short' }
  const { magic, peOffset } = dosHeader.read(content)
  if (magic !== 'MZ' || peOffset + peHeader.size > content.length)
    return { fault: 'it is no program for UEFI: it has no PE header' }
  const { signature, machine, subsystem } = peHeader.read(content, peOffset)
  if (latin1(signature) !== 'PE\0\0') return { fault: 'it is no program for UEFI: it has no PE header' }
  const cpu = cpus[machine] ?? `machine type 0x${machine.toString(16)}`
  return subsystem === efiApplication
    ? { cpu }
    : { cpu, fault: `it is a program, but none for UEFI (subsystem ${subsystem})` }
}

function kindOf(path: string, content: Uint8Array | undefined): Pick<BootLoader, 'kind' | 'title'> {
  const text = content === undefined ? '' : latin1(content)
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase()
  // systemd writes this for exactly such questions (section .sdmagic).
  const systemd = /#### LoaderInfo: systemd-(boot|stub) ([\w.~+-]{1,40}) ####/.exec(text)
  if (systemd?.[1] === 'boot') return { kind: 'systemd-boot', title: `systemd-boot ${systemd[2] ?? ''}` }
  if (systemd !== null) return { kind: 'unifiedKernel', title: 'Linux, as a unified kernel image' }
  if (text.includes('UEFI SHIM\n')) return { kind: 'shim', title: 'shim' }
  if (name === 'bootmgfw.efi' || text.includes('bootmgfw.pdb'))
    return { kind: 'windows', title: 'Windows Boot Manager' }
  if (text.includes('r\0E\0F\0I\0n\0d\0')) return { kind: 'refind', title: 'rEFInd' }
  if (name.startsWith('grub') || text.includes('GRUB')) return { kind: 'grub', title: 'GRUB' }
  if (name.startsWith('shim')) return { kind: 'shim', title: 'shim' }
  return { kind: 'unknown', title: 'an unknown program' }
}
