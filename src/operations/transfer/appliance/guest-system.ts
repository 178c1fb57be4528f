import { printable, usage } from '../../../errors.js'

/** An operating system as an OVF description names it. */
export interface GuestSystem {
  /** Of CIM_OperatingSystem.OSType. */
  readonly id: number
  readonly version?: string
  /** VMware's name for it. */
  readonly type: string
}

/** Families whose names end in a version: the number of CIM, VMware's name, and versions that it knows. */
const families: Readonly<Record<string, readonly [id: number, type: (version: string) => string, versions: RegExp]>> = {
  debian: [96, (version) => `debian${version}_64Guest`, /^(?:[4-9]|1[0-3])$/],
  rhel: [80, (version) => `rhel${version}_64Guest`, /^(?:[3-9]|10)$/],
  centos: [107, (version) => `centos${version}_64Guest`, /^[6-9]$/],
  oracle: [109, (version) => `oracleLinux${version}_64Guest`, /^(?:[6-9]|10)$/],
  sles: [85, (version) => `sles${version}_64Guest`, /^1[0-256]$/],
  freebsd: [78, (version) => `freebsd${version}_64Guest`, /^1[1-5]$/],
}

/** Systems whose version is no part of the name, or that have a name of their own. */
const systems: Readonly<Record<string, readonly [id: number, type: string]>> = {
  linux: [101, 'otherLinux64Guest'],
  ubuntu: [94, 'ubuntu64Guest'],
  debian: [96, 'debian12_64Guest'],
  centos: [107, 'centos64Guest'],
  oracle: [109, 'oracleLinux64Guest'],
  sles: [85, 'sles64Guest'],
  opensuse: [83, 'opensuse64Guest'],
  fedora: [101, 'fedora64Guest'],
  rocky: [101, 'rockylinux_64Guest'],
  alma: [101, 'almalinux_64Guest'],
  freebsd: [78, 'freebsd64Guest'],
  windows7: [105, 'windows7_64Guest'],
  windows8: [113, 'windows8_64Guest'],
  windows10: [102, 'windows9_64Guest'],
  windows11: [102, 'windows11_64Guest'],
  'windows-server-2008r2': [103, 'windows7Server64Guest'],
  'windows-server-2012': [112, 'windows8Server64Guest'],
  'windows-server-2016': [115, 'windows9Server64Guest'],
  'windows-server-2019': [115, 'windows2019srv_64Guest'],
  'windows-server-2022': [115, 'windows2019srvNext_64Guest'],
  other: [102, 'otherGuest64'],
}

/**
 * What a user calls an operating system: `debian12`, `ubuntu24.04`, `windows11`, or VMware's own name for it.
 * @throws ImageError usage E_OPTION_VALUE for one that is not known.
 */
export function guestSystem(name: string): GuestSystem {
  const plain = name.toLowerCase()
  const own = systems[plain]
  if (own !== undefined) return { id: own[0], type: own[1] }
  const [, family = '', version = ''] = /^([a-z-]+?)-?(\d[\d.]*)$/.exec(plain) ?? []
  const known = families[family]
  if (known?.[2].test(version) === true) return { id: known[0], version, type: known[1](version) }
  // Ubuntu and the like have one name for all versions.
  const unversioned = ['ubuntu', 'opensuse', 'fedora', 'rocky', 'alma'].includes(family) ? systems[family] : undefined
  if (unversioned !== undefined) return { id: unversioned[0], version, type: unversioned[1] }
  if (/^[A-Za-z]\w{2,60}Guest(?:64)?$/.test(name)) return { id: 1, type: name }
  throw usage('E_OPTION_VALUE', `${printable(name)} is no operating system that an OVA can name`, {
    hint:
      `Use one of ${Object.keys(systems).join(', ')}, one of ${Object.keys(families).join(', ')} with its version, ` +
      "or VMware's name, as debian12_64Guest.",
  })
}
