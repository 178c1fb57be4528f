import { ZeroSource } from '../../block/zero.js'
import { containers } from '../../codec/container.js'
import type { Note } from '../../block/types.js'
import type { OpenedImage } from '../../formats/open.js'
import type { Registry } from '../../formats/registry.js'
import type { Platform } from '../../platforms/index.js'
import { startText } from '../inspect/boot/diagnosis.js'
import { examine } from '../inspect/inspect.js'
import { choosePlatform, type ChoiceRequest, type PlatformChoice } from '../platform/choice.js'
import { fitDisk } from '../platform/fit.js'
import { nextSteps } from '../platform/next-steps.js'
import { packedArchive } from '../platform/packing.js'
import type { DiskFit } from './content.js'
import type { EmptyFit } from './empty-disk.js'
import type { FilePacking } from './sink-compressed.js'

/** What `--for` chooses. @throws ImageError usage as `choosePlatform` does. */
export function choiceFor(
  platform: string,
  target: string | object,
  options: Omit<ChoiceRequest, 'path' | 'packs'> & { readonly registry: Registry },
): PlatformChoice {
  const path = typeof target === 'string' ? target : undefined
  return choosePlatform(options.registry, platform, { ...options, path, packs: true })
}

/** How a disk is made fit for a platform. @param name as the user named the source. */
export function platformFit(platform: Platform, name: string): DiskFit {
  return (disk, opened, sectorSize, given) => {
    const fitted = fitDisk(disk, { platform, name, sectorSize, given })
    return { ...fitted, notes: [...fitted.notes, ...firmwareNotes(platform, name, opened)] }
  }
}

/** A disk that starts from other firmware than the platform has. One that starts from none may hold data alone. */
function firmwareNotes({ id, firmware }: Platform, name: string, opened: OpenedImage): Note[] {
  const has = (['bios', 'uefi'] as const).filter((one) => firmware.includes(one))
  if (has.length !== 1 || opened.part !== undefined) return []
  const { boot } = examine(name, opened).result
  if (boot.firmware === 'none' || boot.firmware === 'both' || boot.firmware === has[0]) return []
  const titles = { bios: 'BIOS', uefi: 'UEFI' } as const
  return [
    {
      code: 'W_PLATFORM_FIRMWARE',
      message:
        `the disk ${startText(boot)}, and ${id} has ${titles[has[0] ?? 'bios']} alone: ` + 'it will not start there',
    },
  ]
}

/** How the size of an empty disk is made fit for a platform. */
export function emptyFit(choice: PlatformChoice | undefined, name: string): EmptyFit | undefined {
  if (choice === undefined) return undefined
  const { platform } = choice
  return (capacity, sectorSize, given) => {
    const { disk, notes } = fitDisk(new ZeroSource(capacity, sectorSize), { platform, name, sectorSize, given })
    return { capacity: disk.capacity, notes }
  }
}

/** The compressed archive that a platform takes; undefined where it takes the image itself. */
export function platformPacking({ packing }: Platform): FilePacking | undefined {
  if (packing === undefined) return undefined
  const { gz: container } = containers
  if (container === undefined) throw new TypeError('no file is compressed with gzip')
  return {
    container,
    archive: {
      title: packing.title,
      of: (image, { format, disk, shape }) =>
        packedArchive(packing.kind, {
          image,
          format: format.driver.id,
          capacity: disk.capacity,
          time: shape.identity.time,
        }),
    },
  }
}

/** What an image was made for. */
export interface PlatformResult {
  readonly id: string
  readonly title: string
  /** What of the disk's partition table is not the source's, in the present; empty: nothing. */
  readonly table: readonly string[]
  /** What to do next: commands and steps. */
  readonly next: readonly string[]
}

/** What results say of the platform. Bytes; `size` is the new file's, where it is known. */
export function platformResult(
  { platform, appliance }: PlatformChoice,
  path: string | undefined,
  format: string,
  made: {
    readonly capacity: number
    readonly sectorSize: number
    readonly size: number | undefined
    readonly table: readonly string[]
    /** What follows where it was made, if not what follows a file. */
    readonly next?: readonly string[]
  },
): PlatformResult {
  const { id, title } = platform
  const { capacity, sectorSize, size, table } = made
  const next = made.next ?? (appliance ? (platform.appliance?.next ?? []) : platform.next)
  return { id, title, table, next: nextSteps({ id, next }, { path, format, capacity, sectorSize, size }) }
}
