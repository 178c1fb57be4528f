import { grubMenuPaths } from '../inspect/boot/configuration.js'
import { entryText, placeText, type BootEntry, type BootMenu, type MenuSearch } from './boot-menu.js'
import type { Guest, GuestVolume } from './guest.js'
import type { DoctorReport } from './report.js'
import { idEdits } from './text-edits.js'

/** Filesystems that GRUB looks for. */
export function checkSearches(guest: Guest, menu: BootMenu, report: DoctorReport): void {
  for (const search of menu.searches) {
    if (searchedVolume(guest, search) !== undefined || mayLieElsewhere(guest, search)) continue
    const pointer = menu.entries.length === 0
    const wanted = meantVolume(guest, menu)?.volume.filesystems[0]?.uuid
    report.add(
      {
        id: 'L-GRUB-SEARCH',
        severity: pointer ? 'blocks' : 'risk',
        where: `${menu.where}:${search.line}`,
        found: `${searchText(search)}, which nothing on this disk has`,
        wanted: wanted ?? 'the id of the filesystem with /boot',
        why: pointer
          ? 'GRUB finds no menu, and stops at its prompt'
          : 'GRUB goes on where it was started from, if the files are there',
        remedy: { kind: 'inside-guest', text: 'Run grub-install and update-grub (grub2-mkconfig).' },
      },
      wanted === undefined || search.kind !== 'uuid'
        ? []
        : menu.texts.flatMap((text) => idEdits(text, search.value, wanted)),
    )
  }
}

/** Where GRUB reads the kernel from, without the kernel being there. */
export function checkSearchedKernel(guest: Guest, entry: BootEntry, report: DoctorReport): void {
  const { open, kernel, searched, partition } = entry
  if (kernel === undefined || (searched === undefined && partition === undefined)) return
  const found = searched === undefined ? undefined : searchedVolume(guest, searched)
  const place = found ?? (partition === undefined ? undefined : partitionVolume(guest, partition))
  // A search that fails is a finding of its own.
  if (place === undefined ? partition === undefined : hasKernel(place, kernel)) return
  const own = [open, ...guest.volumes].find((volume) => volume.files.readable && hasKernel(volume, kernel))
  // A kernel that is nowhere is a finding of its own.
  if (own === undefined) return
  const asked = searched === undefined || found === undefined ? `set root=hd0,${partition ?? ''}` : searchText(searched)
  report.add({
    id: 'L-GRUB-SEARCH',
    severity: 'blocks',
    where: entryText(entry),
    found:
      `${asked}, ${place === undefined ? 'which this disk does not have' : `which is ${placeText(place)}`}; ` +
      `${kernel} is in ${placeText(own)}`,
    wanted: own.volume.filesystems[0]?.uuid ?? 'the id of the filesystem with the kernel',
    why: 'GRUB does not find the kernel there, and stops',
    remedy: { kind: 'inside-guest', text: 'Run update-grub (grub2-mkconfig).' },
  })
}

function searchText({ kind, value }: MenuSearch): string {
  return `search --${kind === 'uuid' ? 'fs-uuid' : kind} ${value}`
}

function searchedVolume(guest: Guest, { kind, value }: MenuSearch): GuestVolume | undefined {
  if (kind !== 'file') return guest.volumeOf({ kind, value })
  return guest.volumes.find(({ files }) => files.readable && files.file(value) !== undefined)
}

/** Whether what is looked for may be where nothing is seen. */
function mayLieElsewhere({ containers, volumes }: Guest, { kind }: MenuSearch): boolean {
  const unread = volumes.some(({ files, volume }) => !files.readable && volume.filesystems[0]?.kind === 'filesystem')
  return containers.length > 0 || (kind === 'file' && unread)
}

function partitionVolume(guest: Guest, number: number): GuestVolume | undefined {
  return guest.volumes.find(({ volume, logical }) => logical === undefined && volume.partition?.number === number)
}

/** What cannot be read is not known to lack a kernel. */
function hasKernel({ files }: GuestVolume, kernel: string): boolean {
  return !files.readable || files.file(kernel) !== undefined
}

/** The one volume that has what a menu starts, or the menu that the small one of an EFI system partition leads to. */
function meantVolume(guest: Guest, menu: BootMenu): GuestVolume | undefined {
  const kernels = [...new Set(menu.entries.flatMap(({ kernel }) => kernel ?? []))]
  const paths = kernels.length > 0 ? kernels : grubMenuPaths
  const volumes = kernels.length > 0 ? guest.volumes : guest.volumes.filter((open) => open !== menu.open)
  const found = volumes.filter(({ files }) => paths.some((path) => files.file(path) !== undefined))
  return found.length === 1 ? found[0] : undefined
}
