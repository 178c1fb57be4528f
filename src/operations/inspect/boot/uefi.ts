import type { PartitionTable } from '../../../partition/index.js'
import type { Verdict } from './bios.js'
import type { BootLoader } from './loaders.js'

/** Whether UEFI firmware can start the disk. @param system numbers of the EFI system partitions. */
export function uefiVerdict(
  { scheme }: PartitionTable,
  system: readonly number[],
  loaders: readonly BootLoader[],
): Verdict {
  const faults = loaders.flatMap(({ path, partition, fault }) =>
    fault === undefined ? [] : [`${shown(path)}${place(partition)} will not start: ${fault}.`],
  )
  const sound = loaders.filter(({ fault }) => fault === undefined)
  if (sound.length === 0)
    return { starts: false, reasons: [`UEFI: does not start it. ${missing(scheme, system, loaders)}`, ...faults] }
  const fallback = sound.filter((loader) => loader.fallback)
  const others = sound.filter((loader) => !loader.fallback)
  const reasons: string[] = []
  for (const loader of fallback)
    reasons.push(
      `UEFI: ${loader.kind === 'unknown' ? 'may start it. ' : ''}${shown(loader.path)}${place(loader.partition)} is ` +
        `${loader.title} for ` +
        `${loader.cpu ?? 'an unknown CPU'}; firmware finds it on its own.`,
    )
  if (fallback.length === 0) {
    const names = others.map(
      ({ path, title, cpu, partition }) =>
        `${shown(path)}${place(partition)} (${title} for ${cpu ?? 'an unknown CPU'})`,
    )
    reasons.push(
      `UEFI: starts ${names.join(' or ')}, but only with an entry in the firmware's memory: without ` +
        '\\EFI\\BOOT there is nothing that firmware finds on its own on another computer.',
    )
  }
  const outside = [
    ...new Set(
      sound
        .filter(({ partition }) => partition !== undefined && !system.includes(partition))
        .map(({ partition }) => partition),
    ),
  ]
  if (outside.length > 0 && sound.every(({ partition }) => partition === undefined || !system.includes(partition))) {
    reasons.push(
      `Partition ${outside.join(', ')} is no EFI system partition by its type: firmware starts it as ` +
        'removable media, some not at all.',
    )
  }
  return { starts: true, known: sound.some(({ kind }) => kind !== 'unknown'), reasons: [...reasons, ...faults] }
}

function missing(scheme: string, system: readonly number[], loaders: readonly BootLoader[]): string {
  if (loaders.length > 0) return 'None of its loaders is sound.'
  if (system.length === 0)
    return scheme === 'none'
      ? 'There is no loader in a folder \\EFI.'
      : 'There is no EFI system partition, and no loader in a folder \\EFI.'
  return `The EFI system partition (${system.join(', ')}) holds no loader that can be read.`
}

/** As UEFI writes paths. */
function shown(path: string): string {
  return path.replaceAll('/', '\\')
}

function place(partition: number | undefined): string {
  return partition === undefined ? '' : ` in partition ${partition}`
}
