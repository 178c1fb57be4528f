const ids = ['uuid', 'label', 'partuuid', 'partlabel'] as const

/** What a device is named by in fstab, crypttab, and on the kernel command line. */
export type DeviceSpec =
  /** What a filesystem or partition has itself; `further`: the partition so many numbers behind that one. */
  | { readonly kind: (typeof ids)[number]; readonly value: string; readonly further?: number }
  /** A name that the kernel gives in the order of finding: `sda`, partition 2. */
  | { readonly kind: 'name'; readonly family: string; readonly disk: string; readonly partition?: number }
  /** A name made of the hardware: by-path, by-id. */
  | { readonly kind: 'hardware'; readonly disk: string; readonly partition?: number }
  /** Mapped by LVM (`vg/lv`), RAID or encryption. */
  | { readonly kind: 'mapped'; readonly volume?: string }
  /** No disk: network, memory, kernel. */
  | { readonly kind: 'other' }

/** Whether a device is named by what it has itself. */
export function isId({ kind }: DeviceSpec): boolean {
  return ids.some((id) => id === kind)
}

/** Reads a device's name. Pure and total. */
export function deviceSpec(text: string): DeviceSpec {
  const [, tag = '', tagged = ''] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/is.exec(text) ?? []
  const [, base, further] = /^PARTUUID=(.+)\/PARTNROFF=(-?\d{1,3})$/i.exec(text) ?? []
  if (base !== undefined) return { kind: 'partuuid', value: base, further: Number(further) }
  for (const kind of ids) if (tag.toLowerCase() === kind) return { kind, value: unquoted(tagged) }
  const [, by = '', linked = ''] = /^\/dev\/disk\/by-([a-z]+)\/(.+)$/s.exec(text) ?? []
  for (const kind of ids) if (by === kind) return { kind, value: unescaped(linked) }
  if (by === 'id' && /^(dm-|lvm-|md-)/.test(linked)) return { kind: 'mapped' }
  if (by !== '') {
    const [, disk = text, number] = /^(.+)-part(\d{1,3})$/.exec(text) ?? []
    return { kind: 'hardware', disk, partition: numbered(number) }
  }
  const name = kernelName(text)
  if (name !== undefined) return name
  if (/^\/dev\/(mapper\/|dm-|md|[A-Za-z0-9+_.-]+\/[A-Za-z0-9+_.-]+$)/.test(text))
    return { kind: 'mapped', volume: logicalVolume(text) }
  return { kind: 'other' }
}

/** A name that the kernel gives in the order of finding. */
function kernelName(text: string): DeviceSpec | undefined {
  const [, family = '', letters = '', number] = /^\/dev\/(sd|hd|vd|xvd)([a-z]{1,3})(\d{0,3})$/.exec(text) ?? []
  if (letters !== '') return { kind: 'name', family, disk: `/dev/${family}${letters}`, partition: numbered(number) }
  // Arrays of controllers that have folders of their own.
  const [, array, part] = /^(\/dev\/(?:cciss|ida|rd)\/c\d+d\d+)(?:p(\d{1,3}))?$/.exec(text) ?? []
  if (array !== undefined) return { kind: 'name', family: 'array', disk: array, partition: numbered(part) }
  const [, disk, flash, partition] = /^(\/dev\/(nvme\d+n\d+|mmcblk\d+))(?:p(\d{1,3}))?$/.exec(text) ?? []
  if (disk === undefined) return undefined
  return {
    kind: 'name',
    family: flash?.startsWith('nvme') === true ? 'nvme' : 'mmcblk',
    disk,
    partition: numbered(partition),
  }
}

/** `vg/lv`: of /dev/vg/lv, and of /dev/mapper/vg-lv, in which `--` is a hyphen of a name. */
function logicalVolume(text: string): string | undefined {
  const [, group, volume] = /^\/dev\/mapper\/((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(text) ?? []
  if (group !== undefined && volume !== undefined)
    return `${group.replaceAll('--', '-')}/${volume.replaceAll('--', '-')}`
  return /^\/dev\/(?!mapper\/|md\/)([^/]+\/[^/]+)$/.exec(text)?.[1]
}

function numbered(text: string | undefined): number | undefined {
  return text === undefined || text === '' ? undefined : Number(text)
}

function unquoted(text: string): string {
  return text.replace(/^(["'])(.*)\1$/s, '$2')
}

/** Names of links in /dev/disk: `\x20` is a byte. */
function unescaped(text: string): string {
  return bytesText(text, /\\x([0-9a-f]{2})/gi, 16)
}

/** A text in UTF-8 in which some bytes are written as digits. */
export function bytesText(text: string, pattern: RegExp, radix: number): string {
  const parts = text.split(pattern)
  return Buffer.concat(
    parts.map((part, index) => (index % 2 === 0 ? Buffer.from(part) : Buffer.of(Number.parseInt(part, radix) % 256))),
  ).toString()
}

/** Names that the disks of a driver get. */
const namesOf: Readonly<Record<string, string>> = {
  virtio_blk: 'vd',
  nvme: 'nvme',
  xen_blkfront: 'xvd',
  virtio_scsi: 'sd',
  hv_storvsc: 'sd',
  ahci: 'sd',
  ata_piix: 'sd',
  vmw_pvscsi: 'sd',
  mptspi: 'sd',
}

/** The names that disks may have where one of the sets of drivers serves them. */
export function diskNames(sets: readonly (readonly string[])[]): string[] {
  return [...new Set(sets.flat().flatMap((driver) => namesOf[driver] ?? []))]
}
