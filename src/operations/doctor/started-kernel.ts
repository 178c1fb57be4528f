import { byVersion } from './boot-words.js'
import type { BootEntry } from './boot-menu.js'
import type { Guest } from './guest.js'
import type { GuestFile } from './guest-file.js'
import { moduleNames } from './initramfs.js'
import { kernelImage, type KernelImage } from './kernel-image.js'

const longestList = 16 * 1048576

/** A kernel that a menu starts, with its files. */
export interface StartedKernel {
  readonly entry: BootEntry
  readonly kernel?: GuestFile
  readonly image?: KernelImage
  readonly initrds: readonly GuestFile[]
  /** `6.1.0-18-amd64`, as its file says it, or is named. */
  readonly version?: string
}

/** Where files of menus lie: in the menu's own volume, or below /boot. */
export function startedKernel(guest: Guest, entry: BootEntry): StartedKernel {
  const { unified } = entry
  const kernel = unified?.kernel ?? (entry.kernel === undefined ? undefined : bootFile(guest, entry, entry.kernel))
  const initrds = [...(unified?.initrds ?? []), ...entry.initrds.flatMap((path) => bootFile(guest, entry, path) ?? [])]
  const name = kernel?.path ?? entry.kernel ?? ''
  const named = /(?:vmlinu[zx]|kernel|bzImage|Image)-([^/]+?)(?:\.efi)?$/.exec(name)?.[1]
  const image = kernel === undefined ? undefined : imageOf(kernel, entry)
  return { entry, kernel, image, initrds, version: image?.version ?? named }
}

/** In a unified kernel image that is cut off the kernel may still be whole: firmware starts neither. */
function imageOf(kernel: GuestFile, { unified }: BootEntry): KernelImage {
  const image = kernelImage(kernel)
  return { ...image, damage: unified?.damage ?? image.damage }
}

function bootFile(guest: Guest, { open, kernel }: BootEntry, path: string): GuestFile | undefined {
  const { files } = open
  // Paths of type 1 entries may be relative to the kernel's folder.
  const place = path.startsWith('/') ? path : `${(kernel ?? '').slice(0, (kernel ?? '').lastIndexOf('/'))}/${path}`
  const own = files.file(place)
  if (own !== undefined) return { files, path: place, node: own }
  for (const volume of [guest.root.open, ...guest.volumes]) {
    const node = volume.files.readable ? volume.files.file(place) : undefined
    if (node !== undefined) return { files: volume.files, path: place, node }
  }
  return guest.file(place) ?? guest.file(`/boot${place}`)
}

/** A kernel's modules. */
export interface ModuleFolder {
  readonly builtin: ReadonlySet<string>
  /** Those that the system has as files; undefined: it is not known. */
  readonly loadable?: ReadonlySet<string>
  /** What a module needs to be loaded, by its name. */
  needs(name: string): readonly string[]
}

export function moduleFolder(guest: Guest, version: string): ModuleFolder | undefined {
  for (const folder of [`/lib/modules/${version}`, `/usr/lib/modules/${version}`]) {
    if (guest.names(folder).length === 0) continue
    const builtin = lines(guest, `${folder}/modules.builtin`) ?? []
    const needs = dependencies(lines(guest, `${folder}/modules.dep`))
    return {
      builtin: moduleNames(builtin),
      loadable: needs === undefined ? undefined : new Set(needs.keys()),
      needs: (name) => [...moduleNames(needs?.get(name)?.split(/\s+/) ?? [])],
    }
  }
  return undefined
}

/** Of each module the rest of its line: paths of what it needs, and what that needs. */
function dependencies(list: readonly string[] | undefined): Map<string, string> | undefined {
  if (list === undefined) return undefined
  return new Map(
    list.flatMap((line) => {
      const colon = line.indexOf(':')
      return [...moduleNames([line.slice(0, Math.max(0, colon))])].map((name) => [name, line.slice(colon + 1)] as const)
    }),
  )
}

function lines(guest: Guest, path: string): string[] | undefined {
  const file = guest.file(path)
  const bytes = file?.files.head(file.path, longestList)
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8').split('\n')
}

/** Kernels in /boot, the newest last. */
export function installedKernels(guest: Guest): string[] {
  return guest
    .names('/boot')
    .flatMap((name) => (/^vmlinu[zx]-(.+)$/.exec(name) ?? []).slice(1))
    .filter((version) => !version.includes('rescue'))
    .sort(byVersion)
}
