import { grubMenuPaths, syslinuxMenuPaths } from '../inspect/boot/configuration.js'
import type { BootLoader } from '../inspect/boot/loaders.js'
import { fileText, type BootMenu } from './boot-menu.js'
import { grubMenu, legacyMenu, legacyMenuPaths } from './grub-menu.js'
import { rootFoldersOf, volumeText, type GuestVolume } from './guest.js'
import { loaderMenu, unifiedEntry } from './loader-menu.js'
import { commandLineMenu, syslinuxMenu } from './syslinux-menu.js'
import { unifiedKernel } from './unified-kernel.js'

/** The menus on the volumes of a disk. @param loaders the programs for UEFI on it. */
export function bootMenus(volumes: readonly GuestVolume[], loaders: readonly BootLoader[]): BootMenu[] {
  const systemd = loaders.some(({ kind }) => kind === 'systemd-boot')
  return volumes.flatMap((open) => {
    const { files } = open
    if (!files.readable) return []
    const menus: BootMenu[] = startedImages(open, loaders)
    const take = (
      paths: readonly string[],
      read: (open: GuestVolume, path: string, text: string) => BootMenu,
    ): void => {
      for (const path of paths) {
        const text = volumeText(files, path)
        if (text !== undefined) menus.push(read(open, path, text))
      }
    }
    const vendors = files.names('/EFI').map((vendor) => `/EFI/${vendor}`)
    const grubs = rootFoldersOf(open).flatMap((root) => grubMenuPaths.map((path) => `${root}${path}`))
    take([...grubs, ...vendors.map((folder) => `${folder}/grub.cfg`)], grubMenu)
    // Beside a menu of GRUB 2 that of the first GRUB is left over; grub.conf is a link to menu.lst, or the other way.
    if (menus.every(({ texts }) => texts.length === 0)) {
      const legacy = [...legacyMenuPaths, ...vendors.map((folder) => `${folder}/grub.conf`)]
      take(legacy.filter((path) => files.file(path) !== undefined).slice(0, 1), legacyMenu)
    }
    for (const folder of ['/loader/entries', '/boot/loader/entries']) {
      const menu = loaderMenu(open, folder, systemd)
      if (menu !== undefined) menus.push(menu)
    }
    take(syslinuxMenuPaths, syslinuxMenu)
    if (files.file('/config.txt') !== undefined)
      take(['/cmdline.txt'], (_open, _path, line) => commandLineMenu(open, line))
    return menus
  })
}

/** Unified kernel images that firmware starts itself. */
function startedImages(open: GuestVolume, loaders: readonly BootLoader[]): BootMenu[] {
  if (open.logical !== undefined) return []
  return loaders.flatMap(({ partition, path, fallback, fault }) => {
    if (partition !== open.volume.partition?.number || !fallback || fault !== undefined) return []
    const unified = unifiedKernel(open.files, path)
    if (unified === undefined) return []
    const first = unifiedEntry(open, path, unified)
    return [{ where: fileText(open, path), open, texts: [], entries: [first], first, searches: [] }]
  })
}
