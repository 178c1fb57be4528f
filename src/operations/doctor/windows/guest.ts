import type { HiveKey } from '../../../hive/index.js'
import type { GuestVolume } from '../guest.js'
import type { DoctorReport } from '../report.js'
import { attempt, openHiveFile, type HiveFile } from './hive-file.js'

/** What a Windows system says of itself. Text from the disk, to be escaped. */
export interface WindowsFacts {
  /** Undefined: it lies in the volume at the disk's first byte. */
  readonly partition?: number
  /** The folder of the system: `/Windows`. */
  readonly folder: string
  /** `Windows Server 2022 Datacenter`. */
  readonly product?: string
  /** `10.0`. */
  readonly version?: string
  /** `20348.2113`. */
  readonly build?: string
  /** `21H2`. */
  readonly release?: string
  /** `x86-64`, `x86`, `arm64`. */
  readonly cpu?: string
  /** The control set that the next start uses. */
  readonly controlSet?: number
}

/** A Windows system on a disk: its folder, and its SYSTEM hive. */
export interface WindowsGuest {
  readonly open: GuestVolume
  readonly folder: string
  readonly system: HiveFile
  /** The key `ControlSet00N` of the next start. */
  readonly control: HiveKey
  readonly facts: WindowsFacts
  /** The drive that the system has its own volume as: `C:`. */
  readonly drive: string
}

const folders = ['/Windows', '/WINNT']
const cpus: Readonly<Record<string, string>> = { amd64: 'x86-64', x86: 'x86', arm64: 'arm64', ia64: 'itanium' }

/** Whether a volume has a Windows folder with a registry. */
export function windowsFolder({ files }: GuestVolume): string | undefined {
  return folders.find((folder) => files.readable && files.file(`${folder}/System32/config/SYSTEM`) !== undefined)
}

/** The system in a folder. Undefined: its registry cannot be read, which is reported. */
export function openWindows(open: GuestVolume, folder: string, report: DoctorReport): WindowsGuest | undefined {
  const system = openHiveFile(open, `${folder}/System32/config/SYSTEM`, report)
  if (system === undefined) return undefined
  const found = attempt(system, report, () => controlSet(system.hive.root))
  if (found === undefined) {
    report.skip(`the control set of ${system.path}`, 'the key Select names none that is there', true)
    return undefined
  }
  const software = openHiveFile(open, `${folder}/System32/config/SOFTWARE`, report)
  const version = software === undefined ? undefined : attempt(software, report, () => versionKey(software.hive.root))
  const facts = attempt(system, report, () => ({
    partition: open.volume.partition?.number,
    folder,
    ...versionFacts(version),
    cpu: processor(found.key),
    controlSet: found.number,
  }))
  if (facts === undefined) return undefined
  const drive = /^([A-Za-z]:)\\/.exec(version?.value('SystemRoot')?.text ?? '')?.[1]?.toUpperCase() ?? 'C:'
  return { open, folder, system, control: found.key, facts, drive }
}

/** The set that the boot loader takes, unless someone chooses the last one that worked. */
function controlSet(root: HiveKey): { readonly number: number; readonly key: HiveKey } | undefined {
  const select = root.subkey('Select')
  for (const name of ['Default', 'Current']) {
    const number = Number(select?.value(name)?.number ?? 0n)
    const key = number === 0 ? undefined : root.subkey(`ControlSet${String(number).padStart(3, '0')}`)
    if (key !== undefined) return { number, key }
  }
  return undefined
}

function versionKey(root: HiveKey): HiveKey | undefined {
  return root.at('Microsoft\\Windows NT\\CurrentVersion')
}

function versionFacts(key: HiveKey | undefined): Pick<WindowsFacts, 'product' | 'version' | 'build' | 'release'> {
  const text = (name: string): string | undefined => key?.value(name)?.text
  const build = text('CurrentBuildNumber') ?? text('CurrentBuild')
  const revision = key?.value('UBR')?.number
  const major = key?.value('CurrentMajorVersionNumber')?.number
  const product = text('ProductName')
  return {
    // Windows 11 still calls itself 10 there.
    product: Number(build) >= 22000 ? product?.replace(/^Windows 10\b/, 'Windows 11') : product,
    version:
      major === undefined
        ? text('CurrentVersion')
        : `${major}.${key?.value('CurrentMinorVersionNumber')?.number ?? 0n}`,
    build: build === undefined || revision === undefined ? build : `${build}.${revision}`,
    release: text('DisplayVersion') ?? text('ReleaseId') ?? text('CSDVersion'),
  }
}

function processor(control: HiveKey): string | undefined {
  const name = control.at('Control\\Session Manager\\Environment')?.value('PROCESSOR_ARCHITECTURE')?.text
  return name === undefined ? undefined : (cpus[name.toLowerCase()] ?? name)
}

/** The name with the build, for people. */
export function windowsTitle({ product, build, release }: WindowsFacts): string {
  const parts = [release, build === undefined ? undefined : `build ${build}`].filter((part) => part !== undefined)
  return `${product ?? 'Windows'}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`
}
