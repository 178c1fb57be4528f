/**
 * How a rule is known: `tested` on a machine; `documented` by the vendor, or in the source of the program;
 * `unconfirmed`: general knowledge. What is not confirmed is a warning, and never refuses anything.
 */
export type RuleCertainty = 'tested' | 'documented' | 'unconfirmed'

/** A kind of file that a platform takes. */
export interface PlatformFormat {
  /** Id of the format: `vhd`. */
  readonly format: string
  /** Options that the platform insists on: others are refused. */
  readonly required?: Readonly<Record<string, string>>
  /** Options that are chosen unless others are given, which are warned of. */
  readonly advised?: Readonly<Record<string, string>>
  /** Values of options that are refused, by what they begin with; an empty text: any value. */
  readonly refused?: Readonly<Record<string, readonly string[]>>
}

/** A file around the image. */
export interface PlatformPacking {
  readonly kind: 'gce' | 'containerDisk' | 'vagrant'
  /** What the names of such files end with; the first is the usual one. */
  readonly extensions: readonly string[]
  /** For people: `a tar.gz archive with the file disk.raw`. */
  readonly title: string
}

/** A bound of the disk's size, in bytes. */
export interface PlatformLimit {
  readonly least?: number
  readonly most?: number
  /** What the bound is of: `an OS disk`. */
  readonly of: string
  readonly certainty: RuleCertainty
  /** Only where the disk has such a table. */
  readonly scheme?: 'mbr'
}

/** A sentence about a platform, and how it is known. */
export interface PlatformRule {
  readonly text: string
  readonly certainty: RuleCertainty
}

/**
 * A set of Linux modules, of which all are needed; of several sets one is enough. Names as in modules.builtin, with
 * `_`.
 */
export type DriverSet = readonly string[]

/** A controller that a machine can be given instead of the usual one. */
export interface OtherController {
  /** For people: `SATA (AHCI)`. */
  readonly title: string
  readonly drivers: DriverSet
  /** What starts a disk on it there. */
  readonly firmware: readonly ('bios' | 'uefi')[]
}

/** What Windows needs on a platform. */
export interface WindowsNeeds {
  /** Drivers by the names of their services, for the controllers that the platform usually gives; one set is enough. */
  readonly disk: readonly DriverSet[]
  /** The same for controllers that a machine there can be given instead. */
  readonly otherDisk?: readonly DriverSet[]
  /** Agents of which one is expected, by the names of their services. */
  readonly agents?: readonly { readonly title: string; readonly services: readonly string[] }[]
}

/** One platform: what it takes, and what a guest needs there. */
export interface Platform {
  /** As typed after --for: `azure-gen2`. */
  readonly id: string
  readonly title: string
  /** The first is made where the target's name does not choose another. Empty: nothing that vdisk writes. */
  readonly formats: readonly PlatformFormat[]
  readonly packing?: PlatformPacking
  /** It takes an OVA too: the disk with a description of its machine. `next`: what follows then. */
  readonly appliance?: { readonly next: readonly string[] }
  /** Extensions of compressed files that are taken around the image: `gz`. */
  readonly compressed?: readonly string[]
  /** Bytes of the sectors that its disks can have; 512 when left out. */
  readonly sectorSizes?: readonly number[]
  /** Bytes that the size of the disk must be a multiple of. */
  readonly multiple?: { readonly bytes: number; readonly certainty: RuleCertainty }
  readonly limits: readonly PlatformLimit[]
  /** Whether an image may name a parent. */
  readonly parents: boolean
  /** `kernel`: a kernel given beside the disk is started; `own`: the board's own firmware. */
  readonly firmware: readonly ('bios' | 'uefi' | 'kernel' | 'own')[]
  /** Whether its machines start with Secure Boot, and Microsoft's keys, unless that is switched off. */
  readonly secureBoot?: boolean
  /** What the disk must be divided by, where that is known; `none`: a filesystem without a table. */
  readonly table?: { readonly schemes: readonly ('mbr' | 'gpt' | 'none')[]; readonly certainty: RuleCertainty }
  /** CPUs of its machines, as PE headers name them; undefined: any. */
  readonly cpus?: readonly string[]
  readonly drivers?: { readonly disk: readonly DriverSet[]; readonly net: readonly DriverSet[] }
  /** For a Linux without the drivers of the usual controllers. */
  readonly otherControllers?: readonly OtherController[]
  /** Undefined: not known, or the platform puts the drivers in itself. False: it starts no Windows. */
  readonly windows?: WindowsNeeds | false
  /** Modules must be built into the kernel: there is no initramfs. */
  readonly builtIn?: boolean
  /** The name that cloud-init knows it by. */
  readonly datasources?: readonly string[]
  /** Agents of which one is expected, by the path of the program in the guest. */
  readonly agents?: readonly { readonly title: string; readonly paths: readonly string[] }[]
  /** Whether encrypted roots are refused there. */
  readonly noEncryption?: boolean
  readonly rules: readonly PlatformRule[]
  /**
   * Commands and steps that follow, with values to be filled in: `{file}` the new file as a word for a shell, `{path}`
   * and `{json}` the same for XML and JSON, `{name}` its name without extensions, `{bytes}` and `{GiB}` the size of the
   * disk (the latter rounded up), `{fileBytes}` that of the file, `{format}` the format as the platform's program calls
   * it, `{claim}` the bytes of a volume claim, `{qemuSectors}` and `{libvirtSectors}` what says that its sectors do not
   * have 512 bytes.
   */
  readonly next: readonly string[]
}
