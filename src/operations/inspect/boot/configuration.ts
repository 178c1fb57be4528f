import { latin1 } from './code.js'
import type { VolumeFiles } from '../../files/volume-files.js'

/** A file from which a boot loader learns what to start. */
export interface BootConfiguration {
  /** Undefined: the volume starts at the disk's first byte. */
  readonly partition?: number
  readonly kind: 'windowsBcd' | 'grub' | 'systemd-boot' | 'syslinux'
  readonly title: string
  readonly path: string
  /** Why it is of no use. */
  readonly fault?: string
}

interface Place {
  readonly kind: BootConfiguration['kind']
  readonly title: string
  readonly paths: readonly string[]
}

/** Where GRUB 2 looks for its menu on a volume. */
export const grubMenuPaths = ['/boot/grub/grub.cfg', '/grub/grub.cfg', '/boot/grub2/grub.cfg', '/grub2/grub.cfg']
/** Where SYSLINUX and EXTLINUX look for theirs. */
export const syslinuxMenuPaths = [
  '/syslinux.cfg',
  '/syslinux/syslinux.cfg',
  '/boot/syslinux/syslinux.cfg',
  '/extlinux.conf',
  '/extlinux/extlinux.conf',
  '/boot/extlinux/extlinux.conf',
]

const places: readonly Place[] = [
  { kind: 'windowsBcd', title: 'Windows boot configuration (BCD)', paths: ['/EFI/Microsoft/Boot/BCD', '/Boot/BCD'] },
  {
    kind: 'grub',
    title: 'GRUB menu',
    paths: [...grubMenuPaths, '/boot/grub/menu.lst', '/grub/menu.lst'],
  },
  { kind: 'systemd-boot', title: 'systemd-boot settings', paths: ['/loader/loader.conf'] },
  {
    kind: 'syslinux',
    title: 'syslinux menu',
    paths: [...syslinuxMenuPaths, '/isolinux/isolinux.cfg', '/boot/isolinux/isolinux.cfg'],
  },
]

const mostEntries = 32

/** The configuration of boot loaders in a volume. */
export function bootConfigurations(files: VolumeFiles, partition?: number): BootConfiguration[] {
  if (!files.readable) return []
  const menus = files
    .names('/EFI')
    .map((vendor) => ({ kind: 'grub', title: 'GRUB menu', paths: [`/EFI/${vendor}/grub.cfg`] }) as const)
  const entries = files
    .names('/loader/entries')
    .filter((name) => name.toLowerCase().endsWith('.conf'))
    .slice(0, mostEntries)
    .map((name) => ({ kind: 'systemd-boot', title: 'systemd-boot entry', paths: [`/loader/entries/${name}`] }) as const)
  return [...places, ...menus.slice(0, mostEntries), ...entries].flatMap(({ kind, title, paths }) =>
    paths.flatMap((path) => {
      const file = files.file(path)
      if (file === undefined) return []
      const fault =
        file.size === 0 ? 'it is empty' : kind === 'windowsBcd' ? registryFault(files.head(path, 4)) : undefined
      return [{ kind, title, path, partition, fault }]
    }),
  )
}

/** A BCD is a hive of the Windows registry. */
function registryFault(head: Uint8Array | undefined): string | undefined {
  return head === undefined || latin1(head) !== 'regf' ? 'it is no registry hive' : undefined
}
