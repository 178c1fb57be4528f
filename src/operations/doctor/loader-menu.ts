import type { VolumeFiles } from '../files/volume-files.js'
import { fileText, mostMenuEntries, type BootEntry, type BootMenu } from './boot-menu.js'
import { byVersion, wordsOf } from './boot-words.js'
import { environmentPath, grubEnvironment } from './grub-menu.js'
import { GrubScript } from './grub-script.js'
import { volumeText, type GuestVolume } from './guest.js'

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

/** Entries of the Boot Loader Specification, type 1: of systemd-boot, and of GRUB of the RHEL family. */
export function loaderMenu(open: GuestVolume, folder: string): BootMenu | undefined {
  const { files } = open
  const names = files.names(folder).filter((name) => name.endsWith('.conf'))
  if (names.length === 0) return undefined
  const environment = menuPaths.map((path) => grubEnvironment(files, path)).find((variables) => variables.size > 0)
  const options = environment?.get('kernelopts') ?? scriptOptions(files)
  const found = names.slice(0, mostMenuEntries).map((name) => loaderEntry(open, `${folder}/${name}`, name, options))
  const settings = volumeText(files, '/loader/loader.conf')
  // The first of the list starts by itself: of systemd-boot by its own order, of GRUB by the names alone.
  const ordered = found.sort(settings === undefined ? (one, other) => byVersion(other.name, one.name) : byLoader)
  const wanted = environment?.get('saved_entry') ?? /^\s*default\s+(\S+)/m.exec(settings ?? '')?.[1]
  const texts = [...names.map((name) => `${folder}/${name}`), ...menuPaths.map(environmentPath)]
  return {
    where: fileText(open, folder),
    open,
    texts: texts.map((path) => ({ open, path })),
    entries: ordered.map(({ entry }) => entry),
    first: (ordered.find(({ name }) => wanted !== undefined && isNamed(name, wanted)) ?? ordered[0])?.entry,
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
  const entry = {
    where: fileText(open, path),
    open,
    title: values.get('title')?.[0] ?? name,
    kernel: values.get('linux')?.[0] ?? values.get('efi')?.[0],
    initrds: (values.get('initrd') ?? [])
      .flatMap((value) => value.split(/\s+/))
      .filter((value) => !value.startsWith('$')),
    parameters: wordsOf(options),
  }
  return { name, entry, sortKey: one('sort-key'), machine: one('machine-id'), version: one('version') }
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
  const exhausted = ({ name }: LoaderEntry): number => (/\+0(-\d+)?\.conf$/.test(name) ? 1 : 0)
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
  return name.replace(/(\+\d+(-\d+)?)?\.conf$/, '.conf')
}

/** Whether a default means an entry: by its name, without the ending too, or with `*` and `?`. */
function isNamed(name: string, wanted: string): boolean {
  const pattern = wanted
    .replaceAll(/[.+^$()|[\]{}\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return [name, withoutTries(name)].some((each) => new RegExp(`^${pattern}(\\.conf)?$`).test(each))
}
