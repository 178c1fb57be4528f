/** A disk that Windows attached. */
export interface WindowsDisk {
  /** As in `\\.\PhysicalDrive3`. */
  readonly number: number
  readonly path: string
  readonly size: number
  readonly readOnly: boolean
}

const storageTypes: Readonly<Record<string, string>> = { vhd: 'VHD', vhdx: 'VHDX', iso: 'ISO' }

/**
 * The script for `powershell -NoProfile -Command` that attaches an image without drive letters and prints its disk as
 * JSON; undefined for
 * formats that Windows does not attach. Written from the documentation of Mount-DiskImage, never run. VHD and VHDX need
 * an administrator,
 * and a file that is neither sparse nor compressed nor encrypted.
 */
export function mountDiskImageScript(image: string, format: string, readOnly: boolean): string | undefined {
  const type = storageTypes[format]
  if (type === undefined) return undefined
  return [
    "$ErrorActionPreference = 'Stop'",
    '[Console]::OutputEncoding = [Text.Encoding]::UTF8',
    `Mount-DiskImage -ImagePath ${quoted(image)} -StorageType ${type} -Access ` +
      (`${readOnly ? 'ReadOnly' : 'ReadWrite'} -NoDriveLetter -PassThru | Get-DiskImage | Get-Disk | ` +
        'Select-Object Number,Path,Size,IsReadOnly | ConvertTo-Json -Depth 2'),
  ].join('; ')
}

/** The script that detaches it. */
export function dismountDiskImageScript(image: string): string {
  return `Dismount-DiskImage -ImagePath ${quoted(image)}`
}

/** PowerShell's literal text: only the quotation mark is special, which also has curly forms. */
function quoted(text: string): string {
  return `'${text.replace(/['\u2018\u2019\u201a\u201b]/g, '$&$&')}'`
}

/** The disks that the script prints; a single one is no array there. Empty when it is not understood. */
export function parseAttachedDisks(text: string): readonly WindowsDisk[] {
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''))
  } catch {
    // A warning or an error instead of an answer.
    return []
  }
  return (Array.isArray(value) ? (value as unknown[]) : [value]).flatMap((each): WindowsDisk[] => {
    if (typeof each !== 'object' || each === null) return []
    const { Number: number, Path: path, Size: size, IsReadOnly: readOnly } = each as Readonly<Record<string, unknown>>
    if (
      typeof number !== 'number' ||
      !Number.isSafeInteger(number) ||
      number < 0 ||
      typeof path !== 'string' ||
      typeof size !== 'number' ||
      typeof readOnly !== 'boolean'
    )
      return []
    return [{ number, path, size, readOnly }]
  })
}
