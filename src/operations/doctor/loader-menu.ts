import type { VolumeFiles } from '../files/volume-files.js'
import { fileText, mostMenuEntries, type BootEntry, type BootMenu } from './boot-menu.js'
import { byVersion, wordsOf } from './boot-words.js'
import { environmentPath, grubEnvironment } from './grub-menu.js'
import { GrubScript } from './grub-script.js'
import { volumeText, type GuestVolume } from './guest.js'
import { unifiedKernel, type UnifiedKernel } from './unified-kernel.js'

/** Menus beside which the variables lie that entries of the Boot Loader Specification use. */
const menuPaths = ['/grub2/grub.cfg', '/boot/grub2/grub.cfg', '/grub/grub.cfg']

interface LoaderEntry {
  readonly name: string
  readonly entry: BootEntry
  /** Words by which systemd-boot orders entries. */
  readonly sortKey: string
  readonly machine: string
  readonly version: string
}

/** Where systemd-boot finds unified kernel images: entries of type 2. */
const unifiedFolder = '/EFI/Linux'

/**
 * Entries of the Boot Loader Specification: of systemd-boot, and of type 1 also of GRUB of the RHEL family.
 * @param systemd whether systemd-boot is on the disk.
 */
export function loaderMenu(open: GuestVolume, folder: string, systemd: boolean): BootMenu | undefined {
  const { files } = open
  const names = files.names(folder).filter((name) => name.endsWith('.conf'))
  const unified = systemd && folder === '/loader/entries' ? unifiedEntries(open) : []
  if (names.length + unified.length === 0) return undefined
  const environment = menuPaths.map((path) => grubEnvironment(files, path)).find((variables) => variables.size > 0)
  const options = environment?.get('kernelopts') ?? scriptOptions(files)
  const plain = names.slice(0, mostMenuEntries).map((name) => loaderEntry(open, `${folder}/${name}`, name, options))
  const found = [...plain, ...unified]
  const settings = volumeText(files, '/loader/loader.conf')
  // The first of the list starts by itself: of systemd-boot by its own order, of GRUB by the names alone.
  const ordered = found.sort(
    settings === undefined && !systemd ? (one, other) => byVersion(other.name, one.name) : byLoader,
  )
  const wanted = environment?.get('saved_entry') ?? /^\s*default\s+(\S+)/m.exec(settings ?? '')?.[1]
  // grub2-set-default 1
  const numbered = /^\d+$/.test(environment?.get('saved_entry') ?? '') ? ordered[Number(wanted)] : undefined
  const texts = [...names.map((name) => `${folder}/${name}`), ...menuPaths.map(environmentPath)]
  return {
    where: fileText(open, names.length === 0 ? unifiedFolder : folder),
    open,
    texts: texts.map((path) => ({ open, path })),
    entries: ordered.map(({ entry }) => entry),
    first: (ordered.find(({ name }) => wanted !== undefined && isNamed(name, wanted)) ?? numbered ?? ordered[0])?.entry,
    searches: [],
  }
}

function loaderEntry(open: GuestVolume, path: string, name: string, kernelOptions: string): LoaderEntry {
  const values = new Map<string, string[]>()
  for (const line of (volumeText(open.files, path) ?? '').split('\n')) {
    const [, key = '', value = ''] = /^\s*([a-z-]+)\s+(.+?)\s*$/.exec(line) ?? []
    if (key !== '') values.set(key, [...(values.get(key) ?? []), value])
  }
  const one = (key: string): string => values.get(key)?.[0] ?? ''
  const options = (values.get('options') ?? []).join(' ').replaceAll('$kernelopts', kernelOptions)
  const kernel = ['linux', 'uki', 'efi'].flatMap((key) => values.get(key)?.[0] ?? [])[0]
  const unified = kernel === undefined || values.has('linux') ? undefined : unifiedKernel(open.files, kernel)
  const entry = {
    where: fileText(open, path),
    open,
    title: values.get('title')?.[0] ?? name,
    kernel,
    unified,
    initrds: (values.get('initrd') ?? [])
      .flatMap((value) => value.split(/\s+/))
      .filter((value) => !value.startsWith('$')),
    // They take the place of what the image has.
    parameters: wordsOf(options || (unified?.parameters ?? '')),
  }
  return { name, entry, sortKey: one('sort-key'), machine: one('machine-id'), version: one('version') }
}

function unifiedEntries(open: GuestVolume): LoaderEntry[] {
  const names = open.files.names(unifiedFolder).filter((name) => name.toLowerCase().endsWith('.efi'))
  return names.slice(0, mostMenuEntries).flatMap((name) => {
    const path = `${unifiedFolder}/${name}`
    const unified = unifiedKernel(open.files, path)
    if (unified === undefined) return []
    const variable = (...keys: readonly string[]): string =>
      keys.flatMap((key) => unified.release.get(key) ?? [])[0] ?? ''
    // As systemd-boot orders them (bootspec_pick_name_version_sort_key).
    const sortKey = variable('IMAGE_ID', 'ID')
    const version = variable('IMAGE_VERSION', 'VERSION', 'VERSION_ID', 'BUILD_ID')
    return { name, entry: unifiedEntry(open, path, unified), sortKey, machine: '', version }
  })
}

/** A unified kernel image that is started as it is. */
export function unifiedEntry(open: GuestVolume, path: string, unified: UnifiedKernel): BootEntry {
  const title = unified.release.get('PRETTY_NAME') ?? unified.release.get('ID') ?? path
  const parameters = wordsOf(unified.parameters)
  return { where: fileText(open, path), open, title, kernel: path, initrds: [], unified, parameters }
}

/** The parameters that a menu has for its entries, where its variables have none. */
function scriptOptions(files: VolumeFiles): string {
  for (const path of menuPaths) {
    const options = new GrubScript(volumeText(files, path) ?? '').variables.get('kernelopts')
    if (options !== undefined) return options
  }
  return ''
}

/** The order of systemd-boot (Boot Loader Specification, "Sorting"): used up tries last, then keys, then versions. */
function byLoader(one: LoaderEntry, other: LoaderEntry): number {
  const exhausted = ({ name }: LoaderEntry): number => (/\+0(-\d+)?\.(conf|efi)$/.test(name) ? 1 : 0)
  const keyed = ({ sortKey }: LoaderEntry): number => (sortKey === '' ? 1 : 0)
  const compare = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)
  return (
    exhausted(one) - exhausted(other) ||
    keyed(one) - keyed(other) ||
    compare(one.sortKey, other.sortKey) ||
    (one.sortKey === '' ? 0 : compare(one.machine, other.machine) || byVersion(other.version, one.version)) ||
    byVersion(withoutTries(other.name), withoutTries(one.name))
  )
}

/** `debian+3-0.conf` has three tries left: that is not part of its name. */
function withoutTries(name: string): string {
  return name.replace(/(\+\d+(-\d+)?)?\.(conf|efi)$/, '.$3')
}

/** Whether a default means an entry: by its name, without the ending too, or with `*` and `?`. */
function isNamed(name: string, wanted: string): boolean {
  const pattern = wanted
    .replaceAll(/[.+^$()|[\]{}\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return [name, withoutTries(name)].some((each) => new RegExp(`^${pattern}(\\.conf|\\.efi)?$`).test(each))
}
