import { byVersion } from './boot-words.js'
import type { BootEntry } from './boot-menu.js'
import type { Guest } from './guest.js'
import type { GuestFile } from './guest-file.js'
import { kernelImage, type KernelImage } from './kernel-image.js'
import { isModuleFile, moduleName, moduleNames } from './module-names.js'

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

/** A module as `modules.dep` has it; paths are relative to the folder of the modules. */
export interface ListedModule {
  readonly path: string
  /** What it needs to be loaded, and what that needs. */
  readonly needs: readonly string[]
}

/** A kernel's modules. */
export interface ModuleFolder {
  /** `/usr/lib/modules/6.1.0-18-amd64` */
  readonly folder: string
  readonly builtin: ReadonlySet<string>
  /** Those that the system has as files, by their names; undefined: it is not known. */
  readonly loadable?: ReadonlyMap<string, ListedModule>
  /** What a module needs to be loaded, by its name. */
  needs(name: string): readonly string[]
}

export function moduleFolder(guest: Guest, version: string): ModuleFolder | undefined {
  for (const folder of [`/lib/modules/${version}`, `/usr/lib/modules/${version}`]) {
    if (guest.names(folder).length === 0) continue
    const builtin = textLines(guest, `${folder}/modules.builtin`) ?? []
    const loadable = listedModules(textLines(guest, `${folder}/modules.dep`))
    return {
      folder,
      builtin: moduleNames(builtin),
      loadable,
      needs: (name) => [...moduleNames(loadable?.get(name)?.needs ?? [])],
    }
  }
  return undefined
}

function listedModules(list: readonly string[] | undefined): Map<string, ListedModule> | undefined {
  if (list === undefined) return undefined
  return new Map(
    list.flatMap((line) => {
      const colon = line.indexOf(':')
      const path = line.slice(0, Math.max(0, colon))
      const needs = line.slice(colon + 1).split(/\s+/)
      if (!isModuleFile(path)) return []
      return [[moduleName(path), { path, needs: needs.filter((one) => one !== '') }] as const]
    }),
  )
}

/** The lines of a list in the guest; undefined where there is none. Of a very long one only the first. */
export function textLines(guest: Guest, path: string): string[] | undefined {
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
