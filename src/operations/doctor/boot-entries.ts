import { grubMenuPaths, syslinuxMenuPaths } from '../inspect/boot/configuration.js'
import type { BootMenu } from './boot-menu.js'
import { grubMenu, legacyMenu, legacyMenuPaths } from './grub-menu.js'
import { rootFolders, volumeText, type GuestVolume } from './guest.js'
import { loaderMenu } from './loader-menu.js'
import { commandLineMenu, syslinuxMenu } from './syslinux-menu.js'

/** The menus on the volumes of a disk. */
export function bootMenus(volumes: readonly GuestVolume[]): BootMenu[] {
  return volumes.flatMap((open) => {
    const { files } = open
    if (!files.readable) return []
    const menus: BootMenu[] = []
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
    const grubs = rootFolders.flatMap((root) => grubMenuPaths.map((path) => `${root}${path}`))
    take([...grubs, ...vendors.map((folder) => `${folder}/grub.cfg`)], grubMenu)
    // Beside a menu of GRUB 2 that of the first GRUB is left over; grub.conf is a link to menu.lst, or the other way.
    if (menus.length === 0) {
      const legacy = [...legacyMenuPaths, ...vendors.map((folder) => `${folder}/grub.conf`)]
      take(legacy.filter((path) => files.file(path) !== undefined).slice(0, 1), legacyMenu)
    }
    for (const folder of ['/loader/entries', '/boot/loader/entries']) {
      const menu = loaderMenu(open, folder)
      if (menu !== undefined) menus.push(menu)
    }
    take(syslinuxMenuPaths, syslinuxMenu)
    if (files.file('/config.txt') !== undefined)
      take(['/cmdline.txt'], (_open, _path, line) => commandLineMenu(open, line))
    return menus
  })
}
